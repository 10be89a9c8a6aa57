"""Which headers a user may send along with an event: what AMQP can carry, and what is not reserved."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final, cast

from eventbus.errors import InvalidEvent
from eventbus.headers import Headers, is_reserved

MAX_NAME: Final = 128
"""Bytes: what AMQP 0-9-1 §4.2.5.5 recommends for a field name."""


@dataclass(frozen=True, slots=True)
class HeaderLimits:
    size: int = 64 * 1024
    """Bytes. AMQP's frame of 131 072 must hold them all: more closes the connection."""
    nesting: int = 8


def check_headers(headers: Headers, limits: HeaderLimits, event_type: str) -> None:
    """Raise `InvalidEvent` naming the first header that may not leave."""
    for name, value in headers.items():
        _check_name(name, event_type)
        _check_value(name, value, limits.nesting, event_type)
    size = _size(headers)
    if size > limits.size:
        problem = f"take {size} bytes, {limits.size} are allowed"
        raise InvalidEvent("headers", problem, event_type=event_type)


def _check_name(name: object, event_type: str) -> None:
    is_text = isinstance(name, str) and name.isascii() and name.isprintable()
    if not isinstance(name, str) or not is_text or not 0 < len(name) <= MAX_NAME:
        problem = f"must have a name of 1 to {MAX_NAME} visible ASCII characters"
        raise InvalidEvent("headers", problem, name, event_type=event_type)
    if is_reserved(name):
        raise InvalidEvent(f"header {name}", "is reserved for the broker", event_type=event_type)
    if name.lower().startswith("eventbus-"):
        raise InvalidEvent(f"header {name}", "is reserved for eventbus", event_type=event_type)


def _check_value(name: str, value: object, levels: int, event_type: str) -> None:
    if (items := _items(value)) is not None:
        if levels == 0:
            raise InvalidEvent(f"header {name}", "is nested over 8 deep", event_type=event_type)
        for item in items:
            _check_value(name, item, levels - 1, event_type)
    elif not _is_scalar(value):
        problem = "must be text, a 64-bit integer, a finite number, a time, bytes, or lists and dicts of them"
        raise InvalidEvent(f"header {name}", problem, value, event_type=event_type)


def _is_scalar(value: object) -> bool:
    match value:
        case None | bool() | bytes():
            return True
        case datetime():
            return value.tzinfo is not None
        case str():
            return _is_utf8(value)
        case int():
            return -(2**63) <= value < 2**63
        case float() | Decimal():
            return math.isfinite(value)
        case _:
            return False


def _items(value: object) -> Iterable[object] | None:
    """What a table or a list holds; None for anything else."""
    if isinstance(value, Mapping):
        return cast("Mapping[str, object]", value).values()
    if isinstance(value, (list, tuple)):
        return cast("Sequence[object]", value)
    return None


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
        case Mapping():
            table = cast("Mapping[str, object]", value)
            return 5 + sum(1 + len(str(name).encode()) + _size(item) for name, item in table.items())
        case _:
            items = _items(value)
            return 9 if items is None else 5 + sum(_size(item) for item in items)
