"""A dead letter as JSON, whole."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from datetime import datetime
from math import isfinite
from typing import cast

from eventbus.dead_letters.grouping import fingerprint
from eventbus.dead_letters.identity import id_of
from eventbus.dead_letters.masking import NOTHING_SECRET, masked
from eventbus.secret import Secrets
from eventbus.transport import DeadLetterEntry


def as_json(entry: DeadLetterEntry, queue: str, secrets: Secrets = NOTHING_SECRET) -> dict[str, object]:
    """`body` where the bytes are UTF-8, else `body_base64`; times are RFC 3339. Without the `secrets`."""
    original, entry = entry, masked(entry, secrets)
    message = entry.message
    return {
        "id": id_of(original.message),
        "subscription": queue,
        "event_type": message.routing_key,
        "reason": entry.reason,
        "error": entry.error,
        "fingerprint": fingerprint(original),
        "attempts": entry.attempts,
        "first_failed_at": _plain(entry.first_failed_at),
        "died_at": _plain(entry.died_at),
        "source": message.source,
        "correlation_id": message.correlation_id,
        "content_type": message.content_type,
        "headers": {name: _plain(value) for name, value in message.headers.items()},
        **_body(message.body),
    }


def _body(body: bytes) -> dict[str, object]:
    try:
        return {"body": body.decode()}
    except UnicodeDecodeError:
        return {"body_base64": b64encode(body).decode()}


def _plain(value: object) -> object:  # noqa: PLR0911  one for each kind
    match value:
        case None | str() | bool() | int():
            return value
        case datetime():
            return value.isoformat()
        case bytes():
            return {"base64": b64encode(value).decode()}
        case Mapping():
            table = cast("Mapping[object, object]", value)
            return {str(key): _plain(item) for key, item in table.items()}
        case list() | tuple():
            return [_plain(item) for item in cast("Sequence[object]", value)]
        case float() if isfinite(value):
            return value
        case _:
            return str(value)
