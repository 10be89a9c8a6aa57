"""A dead letter with other data: a new event, caused by the one that could not be handled."""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final, cast

from eventbus.codec import Codec
from eventbus.dead_letters.masking import NOTHING_SECRET
from eventbus.dead_letters.restoring import restored
from eventbus.errors import InvalidEvent, Unreadable
from eventbus.headers import FIRST_FAILED_AT, ROUTING_KEY, for_redrive
from eventbus.ids import derived_event_id
from eventbus.registry import Registry
from eventbus.secret import Secrets
from eventbus.strict_json import BadJson, JsonLimits, read_object
from eventbus.transport import DeadLetterEntry, Message

_EDITOR: Final = "dead-letter-edit"
_UNKNOWN_TIME: Final = datetime(1970, 1, 1, tzinfo=UTC)
_OF_THE_OLD: Final = frozenset({FIRST_FAILED_AT, ROUTING_KEY})


@dataclass(frozen=True, slots=True)
class Correction:
    """What is to go to the subscription instead of a dead letter."""

    original: DeadLetterEntry
    message: Message
    event_id: str
    is_checked: bool
    """False where no class describes the event type, so that any data would do."""
    difference: str
    """Between the two data, as a unified diff."""


def data_of(entry: DeadLetterEntry, secrets: Secrets = NOTHING_SECRET) -> str:
    """The event's data as JSON to be edited, masked; raises `InvalidEvent` where the body is no envelope."""
    return _pretty(_shown(_members(entry), secrets))


def correct(entry: DeadLetterEntry, data: str, registry: Registry, codec: Codec, queue: str) -> Correction:
    """The dead letter with this `data`, checked as the subscriber will read it.

    What the classes of `registry` mark as secret is masked in `data`: a mask that is kept stands for what is
    there, and `difference` shows masks only.

    It has a new event_id, the original one as causation_id, and everything else of the original. The same
    correction of the same dead letter has the same event_id, so that doing it twice is seen. Raises
    `InvalidEvent` naming what does not fit.
    """
    members = _members(entry)
    try:
        edited = read_object(data.encode(errors="surrogatepass"), JsonLimits())
    except BadJson as error:
        raise InvalidEvent("data", f"is no JSON object: {error}") from None
    secrets = Secrets(registry)
    shown = _shown(members, secrets)
    try:
        edited = cast("dict[str, Any]", restored(edited, shown, members["data"]))
    except ValueError as error:
        raise InvalidEvent("data", str(error)) from None
    before, after = _pretty(shown), _pretty(_shown({**members, "data": edited}, secrets))
    cause = str(members["event_id"])
    event_id = _event_id(cause, entry.died_at or _UNKNOWN_TIME, edited)
    corrected = {
        **members,
        "event_id": event_id,
        "causation_id": cause,
        "correlation_id": members.get("correlation_id") or cause,
        "data": edited,
    }
    headers = {
        name: value for name, value in for_redrive(entry.message.headers).items() if name not in _OF_THE_OLD
    }
    message = replace(
        entry.message,
        body=json.dumps(corrected, separators=(",", ":"), allow_nan=False).encode(),
        event_id=event_id,
        correlation_id=str(corrected["correlation_id"]),
        headers=headers,
        queue=entry.message.queue or queue,
    )
    is_checked = _check(message, registry, codec)
    return Correction(entry, message, event_id, is_checked, _difference(before, after))


def _members(entry: DeadLetterEntry) -> dict[str, Any]:
    try:
        members = read_object(entry.message.body, JsonLimits())
    except BadJson as error:
        raise InvalidEvent("body", f"cannot be edited, it is no envelope: {error}") from None
    if not isinstance(members.get("data"), dict) or not isinstance(members.get("event_id"), str):
        raise InvalidEvent("body", "cannot be edited: it has no event_id, or no data that is an object")
    return members


def _shown(members: Mapping[str, Any], secrets: Secrets) -> object:
    return secrets.data(str(members.get("event_type")), members["data"])


def _check(message: Message, registry: Registry, codec: Codec) -> bool:
    try:
        envelope = codec.decode(message)
        if registry.newest(envelope.event_type) is None:
            return False
        registry.upcast(envelope)
    except Unreadable as error:
        raise InvalidEvent("data", f"would be given up again, {error.reason}: {error.problem}") from None
    return True


def _event_id(cause: str, died_at: datetime, data: Mapping[str, Any]) -> str:
    told = json.dumps(data, sort_keys=True, separators=(",", ":")).encode()
    return derived_event_id(f"{cause}\0{hashlib.sha256(told).hexdigest()}", died_at, _EDITOR, 0)


def _pretty(data: object) -> str:
    return json.dumps(data, indent=2, ensure_ascii=False) + "\n"


def _difference(before: str, after: str) -> str:
    lines = difflib.unified_diff(
        before.splitlines(), after.splitlines(), "dead letter", "corrected", lineterm=""
    )
    return "\n".join(lines)
