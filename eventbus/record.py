"""A message as it lies in a row of a database: its body untouched, everything else as one JSON text."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final, cast

from eventbus.errors import InvalidEvent
from eventbus.headers import Headers
from eventbus.transport import Message

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_TAG: Final = "$"
"""Marks an object that stands for a value JSON has no word for; a table that has this key is marked too."""


def microseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND


def moment(microseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=microseconds)


def pack(message: Message, headers: Headers | None = None) -> str:
    """All but the body, with `headers` where they differ from the message's own.

    Raises `InvalidEvent` for a header value that AMQP has no type for.
    """
    travelling = message.headers if headers is None else headers
    properties: dict[str, object] = {"key": message.routing_key}
    if message.event_id is not None:
        properties["id"] = message.event_id
    if message.event_type is not None:
        properties["type"] = message.event_type
    if message.content_type is not None:
        properties["content"] = message.content_type
    if message.timestamp is not None:
        if message.timestamp.tzinfo is None:
            raise InvalidEvent("timestamp", "has no time zone", message.timestamp)
        properties["time"] = microseconds(message.timestamp)
    if message.source is not None:
        properties["source"] = message.source
    if message.correlation_id is not None:
        properties["correlation"] = message.correlation_id
    if travelling:
        properties["headers"] = _marked({name: _plain(value, name) for name, value in travelling.items()})
    return _encode(properties)


def unpack(properties: str, body: bytes) -> Message:
    read: dict[str, Any] = _decode(properties)
    time = read.get("time")
    return Message(
        body=body,
        routing_key=read["key"],
        headers=read.get("headers", {}),
        event_id=read.get("id"),
        event_type=read.get("type"),
        content_type=read.get("content"),
        timestamp=None if time is None else moment(time),
        source=read.get("source"),
        correlation_id=read.get("correlation"),
    )


def routing_key_of(properties: str) -> str:
    key: str = _decode(properties)["key"]
    return key


def _plain(value: object, name: str) -> object:
    """`value` in JSON's own types, or a tagged object."""
    match value:
        case None | str() | bool() | int() | float():
            return value
        case bytes() | bytearray():
            return {_TAG: "bytes", "is": b64encode(value).decode()}
        case Decimal():
            return {_TAG: "decimal", "is": str(value)}
        case datetime():
            return {_TAG: "time", "is": value.isoformat()}
        case dict():
            table = cast("dict[object, object]", value)
            return _marked({str(key): _plain(item, name) for key, item in table.items()})
        case list() | tuple():
            return [_plain(item, name) for item in cast("Sequence[object]", value)]
        case _:
            raise InvalidEvent(f"header {name}", "has a value of a type that AMQP does not know", value)


def _marked(table: dict[str, object]) -> dict[str, object]:
    """A table that uses our mark itself travels as a list of pairs."""
    return {_TAG: "table", "is": list(table.items())} if _TAG in table else table


def _revive(read: dict[str, Any]) -> object:
    match read.get(_TAG):
        case None:
            return read
        case "bytes":
            return b64decode(read["is"])
        case "decimal":
            return Decimal(read["is"])
        case "time":
            return datetime.fromisoformat(read["is"])
        case "table":
            return dict(read["is"])
        case _:
            return read


# Escaped ASCII, so that even a lone surrogate comes back as it went in.
_encode: Final = json.JSONEncoder(separators=(",", ":")).encode
_decode: Final = json.JSONDecoder(object_hook=_revive).decode
