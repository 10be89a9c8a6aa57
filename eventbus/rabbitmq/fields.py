"""Properties and header tables as AMQP writes them.

Written here and not by the driver's codec, which halves the precision of floats, refuses bytes, cuts long
names off, and takes three times as long.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Final, cast

from eventbus.errors import InvalidEvent
from eventbus.headers import Headers

LONGEST_TEXT: Final = 255
"""Bytes of a property, a routing key or the name of a header."""

# The bits that say which properties follow, in this order.
_CONTENT_TYPE: Final = 0x8000
_HEADERS: Final = 0x2000
_DELIVERY_MODE: Final = 0x1000
_CORRELATION_ID: Final = 0x0400
_MESSAGE_ID: Final = 0x0080
_TIMESTAMP: Final = 0x0040
_TYPE: Final = 0x0020
_APP_ID: Final = 0x0008

_LENGTHS: Final = [bytes([length]) for length in range(LONGEST_TEXT + 1)]
_FLAGS: Final = struct.Struct(">H")
_LENGTH: Final = struct.Struct(">I")
_INT: Final = struct.Struct(">ci")
_LONG: Final = struct.Struct(">cq")
_DOUBLE: Final = struct.Struct(">cd")
_TIME: Final = struct.Struct(">Q")
_TIME_FIELD: Final = struct.Struct(">cQ")
_DECIMAL: Final = struct.Struct(">cBi")
_PERSISTENT: Final = b"\x02"


def properties(
    *,
    content_type: str | None,
    headers: Headers,
    correlation_id: str | None,
    event_id: str | None,
    timestamp: datetime | None,
    event_type: str | None,
    source: str | None,
) -> bytes:
    """The properties of a persistent message. Raises `InvalidEvent` for what AMQP cannot express.

    A time before 1970, from which AMQP counts whole seconds, is left out.
    """
    seconds = -1.0 if timestamp is None else timestamp.timestamp()
    flags, parts = _DELIVERY_MODE, list[bytes]()
    if content_type is not None:
        flags |= _CONTENT_TYPE
        parts.append(short(content_type, "content_type"))
    if headers:
        flags |= _HEADERS
        parts.append(table(headers, event_type))
    parts.append(_PERSISTENT)
    if correlation_id is not None:
        flags |= _CORRELATION_ID
        parts.append(short(correlation_id, "correlation_id"))
    if event_id is not None:
        flags |= _MESSAGE_ID
        parts.append(short(event_id, "event_id"))
    if seconds >= 0:
        flags |= _TIMESTAMP
        parts.append(_TIME.pack(int(seconds)))
    if event_type is not None:
        flags |= _TYPE
        parts.append(short(event_type, "event_type"))
    if source is not None:
        flags |= _APP_ID
        parts.append(short(source, "source"))
    return b"".join([_FLAGS.pack(flags), *parts])


def usual_properties(
    content_type: str | None, event_id: str, timestamp: datetime, event_type: str | None, source: str | None
) -> bytes | None:
    """The same of most messages, which have no others; None where the time cannot be said."""
    if (seconds := timestamp.timestamp()) < 0:
        return None
    before, after = _around(content_type, event_type, source)
    return b"".join((before, short(event_id, "event_id"), _TIME.pack(int(seconds)), after))


@lru_cache(maxsize=1024)
def _around(content_type: str | None, event_type: str | None, source: str | None) -> tuple[bytes, bytes]:
    """What stands before and after id and time in the properties of most messages: it seldom differs."""
    flags, before, after = _DELIVERY_MODE | _MESSAGE_ID | _TIMESTAMP, b"", b""
    if content_type is not None:
        flags |= _CONTENT_TYPE
        before = short(content_type, "content_type")
    if event_type is not None:
        flags |= _TYPE
        after = short(event_type, "event_type")
    if source is not None:
        flags |= _APP_ID
        after += short(source, "source")
    return _FLAGS.pack(flags) + before + _PERSISTENT, after


def short(text: str, field: str) -> bytes:
    """A text with its length in front; raises `InvalidEvent` naming the field."""
    try:
        encoded = text.encode()
    except UnicodeEncodeError:
        raise _no_text(text, field) from None
    if len(encoded) > LONGEST_TEXT:
        raise InvalidEvent(field, f"has {len(encoded)} bytes, {LONGEST_TEXT} are allowed", text)
    return _LENGTHS[len(encoded)] + encoded


def table(headers: Mapping[str, object], event_type: str | None = None) -> bytes:
    """A header table; raises `InvalidEvent` naming the header."""
    parts: list[bytes] = []
    for name, value in headers.items():
        try:
            parts += (short(name, f"header {name!r}"), _value(value))
        except (TypeError, ValueError, OverflowError, RecursionError, struct.error) as error:
            if isinstance(error, InvalidEvent):
                raise
            problem = f"cannot be written as AMQP: {error}"
            raise InvalidEvent(f"header {name!r}", problem, value, event_type=event_type) from None
    return _counted(parts)


def _value(value: object) -> bytes:  # noqa: C901, PLR0911  a closed list of types, one line each
    match value:
        case str():
            return b"S" + _counted([_utf8(value, "text")])
        case bool():
            return b"t\x01" if value else b"t\x00"
        case int():
            return _INT.pack(b"I", value) if -(2**31) <= value < 2**31 else _LONG.pack(b"l", value)
        case float():
            return _DOUBLE.pack(b"d", value)
        case None:
            return b"V"
        case bytes() | bytearray():
            return b"x" + _counted([bytes(value)])
        case datetime():
            moment = value if value.tzinfo else value.replace(tzinfo=UTC)
            return _TIME_FIELD.pack(b"T", int(moment.timestamp()))
        case Decimal():
            return _decimal(value)
        case dict():
            return b"F" + table(cast("dict[str, object]", value))
        case list() | tuple():
            return b"A" + _counted([_value(item) for item in cast("list[object]", value)])
        case _:
            raise TypeError(f"{type(value).__name__} is no type of AMQP")


def _decimal(value: Decimal) -> bytes:
    exponent = value.as_tuple().exponent
    if not isinstance(exponent, int):
        raise TypeError(f"{value} is not finite")
    places = max(0, -exponent)
    return _DECIMAL.pack(b"D", places, int(value.scaleb(places)))


def _counted(parts: Iterable[bytes]) -> bytes:
    joined = b"".join(parts)
    return _LENGTH.pack(len(joined)) + joined


def _utf8(text: str, field: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise _no_text(text, field) from None


def _no_text(text: str, field: str) -> InvalidEvent:
    return InvalidEvent(field, "must be Unicode text, without lone surrogates", text)
