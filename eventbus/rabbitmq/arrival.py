"""One delivery as it came from the wire; its properties are read when somebody asks for them."""

from __future__ import annotations

import struct
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final, NamedTuple

from pamqp import decode


class BadProperties(ValueError):
    """The properties are not what AMQP says they are."""


class Properties(NamedTuple):
    """Those of class basic, in the order in which AMQP writes them (0-9-1, §1.8)."""

    content_type: str | None = None
    content_encoding: str | None = None
    headers: dict[str, Any] | None = None
    delivery_mode: int | None = None
    priority: int | None = None
    correlation_id: str | None = None
    reply_to: str | None = None
    expiration: str | None = None
    message_id: str | None = None
    timestamp: datetime | None = None
    message_type: str | None = None
    user_id: str | None = None
    app_id: str | None = None
    cluster_id: str | None = None


class Lasting(NamedTuple):
    """Properties that seldom differ from one message to the next."""

    content_type: str | None
    message_type: str | None
    app_id: str | None


Usual = tuple[Lasting, str, datetime | None]
"""The properties of most of our own messages: the id and the time differ."""


class Arrival(NamedTuple):
    """One delivery: `tag` is the broker's, `header` the flags and properties as they came."""

    tag: int
    exchange: str
    routing_key: str
    redelivered: bool
    header: bytes
    body: bytes

    @property
    def properties(self) -> Properties:
        """Raises `BadProperties`."""
        return read_properties(self.header)


@lru_cache(maxsize=16)
def read_properties(header: bytes) -> Properties:
    """§4.2.6.1: two bytes of flags, the highest for the first property, then those that are there.

    Text that is no UTF-8 is read with its odd bytes escaped. Raises `BadProperties`.
    """
    try:
        return _read(header)
    except _NOT_READ as error:
        raise BadProperties(f"properties cannot be read: {error}") from None


def read_usual(header: bytes, routing_key: str) -> Usual | None:
    """None where there are others, or fewer. Raises `BadProperties`.

    It takes a fraction of the time of `read_properties`, for the rest is known: mostly it is what stood in
    the properties that came before under this routing key.
    """
    try:
        known = _known.get(routing_key)
        if known is not None and known.form.size == len(header):
            form, before_id, after_time, lasting = known
            before, event_id, seconds, after = form.unpack(header)
            if before == before_id and after == after_time:
                return lasting, event_id.decode("utf-8", "backslashreplace"), _time(seconds)
        return _read_usual(header, routing_key)
    except _NOT_READ as error:
        raise BadProperties(f"properties cannot be read: {error}") from None


def _read_usual(header: bytes, routing_key: str) -> Usual | None:
    flags = header[:2]
    if flags not in (_USUAL, _USUAL_COUNTED):
        return None
    at = 3 + header[2]
    if flags == _USUAL_COUNTED:
        if not header.startswith(NEVER_RETURNED, at):
            return None
        at += len(NEVER_RETURNED)
    at += 2
    end = at + header[at - 1]
    (seconds,) = _SECONDS.unpack_from(header, end)
    before_id, after_time = header[:at], header[end + _SECONDS.size :]
    lasting = _around(before_id[:-1], after_time)
    if len(_known) < _MOST_KNOWN or routing_key in _known:
        form = _form(at, end - at, len(after_time))
        _known[routing_key] = _Known(form, before_id, after_time, lasting)
    return lasting, header[at:end].decode("utf-8", "backslashreplace"), _time(seconds)


class _Known(NamedTuple):
    """What was read of usual properties, but for the id and the time."""

    form: struct.Struct
    before_id: bytes
    """The length of the id is the last of it."""
    after_time: bytes
    lasting: Lasting


@lru_cache(maxsize=256)
def _form(before: int, event_id: int, after: int) -> struct.Struct:
    return struct.Struct(f">{before}s{event_id}sQ{after}s")


@lru_cache(maxsize=256)
def _around(before: bytes, after: bytes) -> Lasting:
    """What stands before the id and after the time of usual properties, which are taken out of the flags."""
    flags = int.from_bytes(before[:2]) & ~_ID_AND_TIME
    read = _read(flags.to_bytes(2) + before[2:] + after)
    return Lasting(read.content_type, read.message_type, read.app_id)


def _read(header: bytes) -> Properties:
    values: list[Any] = [None] * len(_KINDS)
    at = 2
    for position, kind in _present(header[:2]):
        if kind is _TEXT:
            begin, at = at + 1, at + 1 + header[at]
            values[position] = header[begin:at].decode("utf-8", "backslashreplace")
        elif kind is _OCTET:
            values[position] = header[at]
            at += 1
        elif kind is _TIME:
            values[position] = _time(*_SECONDS.unpack(header[at : at + 8]))
            at += 8
        else:
            size, values[position] = decode.field_table(header[at:])
            at += size
    if at != len(header):
        raise BadProperties(f"{len(header)} bytes where {at} were expected")
    return Properties(*values)


@lru_cache(maxsize=256)
def _present(flags: bytes) -> tuple[tuple[int, str], ...]:
    """Position and kind of each property that the flags name."""
    bits = int.from_bytes(flags)
    if len(flags) != 2 or bits & 3:  # noqa: PLR2004
        raise BadProperties(f"unknown flags {flags.hex()}")
    return tuple((at, kind) for at, kind in enumerate(_KINDS) if bits & (0x8000 >> at))


@lru_cache(maxsize=64)
def _time(seconds: float) -> datetime | None:
    """In whole seconds; what would be after February 2106 is milliseconds, as other clients write them.

    None for what is neither: no handler needs it, and the event has a time of its own.
    """
    if seconds > _LAST_SECOND:
        seconds /= 1000
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError):
        return None


_NOT_READ: Final = (ValueError, OverflowError, IndexError, RecursionError, struct.error)
_USUAL: Final = b"\x90\xe8"
"""Flags of content type, delivery mode, id, time, type and app id."""
_USUAL_COUNTED: Final = b"\xb0\xe8"
"""The same, and headers."""
_MOST_KNOWN: Final = 1024
_known: Final[dict[str, _Known]] = {}
"""By routing key."""
_ID_AND_TIME: Final = 0x00C0
NEVER_RETURNED: Final = b"\x00\x00\x00\x1a\x10x-delivery-countl" + bytes(8)
"""All the headers of what comes from a quorum queue for the first time (RabbitMQ before 4.0)."""
_SECONDS: Final = struct.Struct(">Q")
_LAST_SECOND: Final = 2**32 - 1
_TEXT: Final = "text"
_OCTET: Final = "octet"
_TIME: Final = "time"
_TABLE: Final = "table"
_KINDS: Final = (
    *(_TEXT, _TEXT, _TABLE, _OCTET, _OCTET, _TEXT, _TEXT, _TEXT),
    *(_TEXT, _TIME, _TEXT, _TEXT, _TEXT, _TEXT),
)
