"""Envelope ⇄ message. The limits are enforced here, before any byte is sent and before any handler runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import BaseModel
from pydantic_core import PydanticSerializationError, to_json

from eventbus.envelope import Envelope, envelope_from
from eventbus.errors import InvalidEvent, Unreadable, shorten
from eventbus.event import Event
from eventbus.finite import first_nulled
from eventbus.header_rules import HeaderLimits, checked
from eventbus.headers import NO_HEADERS, Headers
from eventbus.outcome import MAX_DELAY, Reason
from eventbus.strict_json import BadJson, JsonLimits, first_not_finite, looks_readable, read_object
from eventbus.transport import Message

CONTENT_TYPE: Final = "application/json"
_N, _I = b"NI"
"""Octets, for those are found much faster than text."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a message may be. Sizes in bytes."""

    body: int = 1024 * 1024
    headers: HeaderLimits = field(default_factory=HeaderLimits)
    json: JsonLimits = field(default_factory=JsonLimits)
    delay: int = MAX_DELAY
    """Seconds."""


class Codec:
    """Turns envelopes into messages and back, within `limits`."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()

    def encode(self, envelope: Envelope[Any], *, headers: Headers = NO_HEADERS) -> Message:
        """The message of an envelope; raises `InvalidEvent` when it cannot travel."""
        if headers:
            headers = checked(headers, self.limits.headers, envelope.event_type)
        return Message(
            body=self.written(self.members(envelope)),
            routing_key=envelope.event_type,
            headers=headers,
            event_id=envelope.event_id,
            event_type=envelope.event_type,
            content_type=CONTENT_TYPE,
            timestamp=envelope.timestamp,
            source=envelope.source,
            correlation_id=envelope.correlation_id,
        )

    def decode(self, message: Message) -> Envelope[dict[str, Any]]:
        """The envelope with its data as a dict; raises `Unreadable` with the reason."""
        content_type = message.content_type
        if (
            content_type
            and content_type != CONTENT_TYPE
            and content_type.partition(";")[0].strip().lower() != CONTENT_TYPE
        ):
            problem = f"content type {shorten(content_type)!r} where {CONTENT_TYPE} is expected"
            raise Unreadable(Reason.CONTENT_TYPE, problem)
        members = self._members(message.body)
        try:
            envelope = envelope_from(members)
        except InvalidEvent as error:
            raise Unreadable(Reason.INVALID_ENVELOPE, f"{error.field} {error.problem}") from None
        if not isinstance(envelope.data, dict):
            raise Unreadable(Reason.INVALID_ENVELOPE, "data must be an object")
        if envelope.event_type != message.routing_key:
            raise Unreadable(
                Reason.FORGED,
                f"the body says {envelope.event_type}, the routing key {shorten(message.routing_key)!r}",
            )
        return envelope

    def members(self, envelope: Envelope[Any]) -> dict[str, object]:
        """What the body says, in its order; raises `InvalidEvent` for data that may not travel."""
        data: object = envelope.data
        if isinstance(data, Event) and data.__event_secret__:
            problem = "holds a secret, and would travel as asterisks: publish a reference to it instead"
            field = f"data.{data.__event_secret__}"
            raise InvalidEvent(field, problem, event_type=envelope.event_type)
        if not isinstance(data, (BaseModel, Mapping)):
            raise InvalidEvent("data", "must be an object", data, event_type=envelope.event_type)
        members: dict[str, object] = {
            "event_id": envelope.event_id,
            "event_type": envelope.event_type,
            "timestamp": envelope.timestamp,
            "version": envelope.version,
            "data": data,
        }
        for name in ("source", "correlation_id", "causation_id", "key"):
            if (value := getattr(envelope, name)) is not None:
                members[name] = value
        return members

    def written(self, members: Mapping[str, object]) -> bytes:
        """The body that says this; raises `InvalidEvent` for one that no subscriber could read."""
        try:
            body = to_json(members, inf_nan_mode="constants")
        except (PydanticSerializationError, ValueError, RecursionError) as error:
            problem = f"cannot be written as JSON: {shorten(str(error))}"
            raise InvalidEvent("data", problem, event_type=_type_of(members)) from None
        self._check_body(body, members)
        return body

    def _check_body(self, body: bytes, members: Mapping[str, object]) -> None:
        if len(body) > self.limits.body:
            raise InvalidEvent(
                "data",
                f"makes a message of {len(body)} bytes, {self.limits.body} are allowed: "
                "keep the large part elsewhere and publish a reference to it",
                event_type=_type_of(members),
            )
        if not looks_readable(body, self.limits.json):
            try:
                read_object(body, self.limits.json)
            except BadJson as error:
                problem = f"could be read by no subscriber: {error}"
                raise InvalidEvent("data", problem, event_type=_type_of(members)) from None
        path = None
        if (_N in body and b"NaN" in body) or (_I in body and b"Infinity" in body):
            path = first_not_finite(body)
        if path is None and b"null" in body:
            path = first_nulled(members["data"])
        if path:
            problem = "must be a finite number: JSON has no NaN or infinity"
            raise InvalidEvent(path, problem, event_type=_type_of(members))

    def _members(self, body: bytes) -> dict[str, Any]:
        if len(body) > self.limits.body:
            raise _undecodable(f"a body of {len(body)} bytes, {self.limits.body} are allowed")
        try:
            return read_object(body, self.limits.json)
        except BadJson as error:
            raise _undecodable(str(error)) from None


def _type_of(members: Mapping[str, object]) -> str | None:
    """For an error."""
    found = members.get("event_type")
    return found if isinstance(found, str) else None


def _undecodable(problem: str) -> Unreadable:
    return Unreadable(Reason.UNDECODABLE, shorten(problem))
