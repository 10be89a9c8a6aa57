"""Which headers a user may send along with an event: what AMQP can carry, and what is not reserved."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final, cast

from eventbus.errors import InvalidEvent
from eventbus.headers import Headers, is_reserved

MAX_NAME: Final = 128
"""Bytes: what AMQP 0-9-1 §4.2.5.5 allows for a field name."""

_END_OF_TIME: Final = 2**32
"""In February 2106; AMQP libraries take larger numbers for milliseconds."""

_RIGHT_VALUE: Final = (
    "must be text, a 64-bit integer, a finite number, a time from 1970 to 2105 with its zone, bytes, None, "
    "or lists and dicts of them"
)


@dataclass(frozen=True, slots=True)
class HeaderLimits:
    size: int = 64 * 1024
    """Bytes. AMQP's frame of 131 072 must hold them all: more closes the connection."""
    nesting: int = 8


def checked(headers: Headers, limits: HeaderLimits, event_type: str) -> dict[str, object]:
    """A copy, in dicts and lists only; raises `InvalidEvent` naming the first that may not leave."""
    plain: dict[str, object] = {}
    for name, value in headers.items():
        _check_name(name, event_type)
        plain[name] = _Header(name, event_type, limits.nesting).plain(value, limits.nesting)
    size = _size(plain)
    if size > limits.size:
        problem = f"take {size} bytes, {limits.size} are allowed"
        raise InvalidEvent("headers", problem, event_type=event_type)
    return plain


def _check_name(name: object, event_type: str) -> None:
    is_text = isinstance(name, str) and name.isascii() and name.isprintable()
    if not isinstance(name, str) or not is_text or not 0 < len(name) <= MAX_NAME:
        problem = f"must have a name of 1 to {MAX_NAME} visible ASCII characters"
        raise InvalidEvent("headers", problem, name, event_type=event_type)
    if is_reserved(name):
        raise InvalidEvent(f"header {name}", "is reserved for the broker", event_type=event_type)
    if name.lower().startswith("eventbus-"):
        raise InvalidEvent(f"header {name}", "is reserved for eventbus", event_type=event_type)


@dataclass(frozen=True, slots=True)
class _Header:
    """One header while it is looked through."""

    name: str
    event_type: str
    nesting: int

    def plain(self, value: object, levels: int) -> object:
        if not isinstance(value, (Mapping, list, tuple)):
            return self._scalar(value)
        if levels == 0:
            raise self._refused(f"is nested over {self.nesting} deep")
        if isinstance(value, Mapping):
            table = cast("Mapping[object, object]", value)
            return {self._name(name): self.plain(item, levels - 1) for name, item in table.items()}
        return [self.plain(item, levels - 1) for item in cast("list[object]", value)]

    def _name(self, name: object) -> str:
        if isinstance(name, str) and _is_utf8(name) and len(name.encode()) <= MAX_NAME:
            return name
        raise self._refused(f"holds a name that is no text of up to {MAX_NAME} bytes", name)

    def _scalar(self, value: object) -> object:
        match value:
            case None | bool() | bytes():
                fits = True
            case str():
                fits = _is_utf8(value)
            case int():
                fits = -(2**63) <= value < 2**63
            case float():
                fits = math.isfinite(value)
            case datetime():
                return self._time(value)
            case Decimal():
                raise self._refused(
                    "must not be a Decimal, which RabbitMQ's streams cannot keep: send text", value
                )
            case _:
                fits = False
        if not fits:
            raise self._refused(_RIGHT_VALUE, value)
        return value

    def _time(self, value: datetime) -> datetime:
        """In UTC and to the second, as it will arrive."""
        if value.utcoffset() is None or not 0 <= value.timestamp() < _END_OF_TIME:
            raise self._refused(_RIGHT_VALUE, value)
        return value.astimezone(UTC).replace(microsecond=0)

    def _refused(self, problem: str, value: object = None) -> InvalidEvent:
        return InvalidEvent(f"header {self.name}", problem, value, event_type=self.event_type)


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _size(value: object) -> int:
    """At least the bytes that a header value takes on the wire (AMQP 0-9-1 §4.2.5.5)."""
    match value:
        case str():
            return 5 + len(value.encode())
        case bytes():
            return 5 + len(value)
        case dict():
            table = cast("dict[str, object]", value)
            return 5 + sum(1 + len(name.encode()) + _size(item) for name, item in table.items())
        case list():
            return 5 + sum(_size(item) for item in cast("list[object]", value))
        case _:
            return 9
