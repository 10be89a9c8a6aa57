"""An event as a row of the outbox, and how many of them wait."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from eventbus.record import pack, unpack
from eventbus.store import Backlog, OutboxEntry
from eventbus.transport import Message

_SECOND = 1_000_000


@dataclass(frozen=True, slots=True)
class Backlogs:
    """What waits in an outbox, for those who only look."""

    own: Backlog | None = None
    """Of the bus that was asked for, and what says of no bus. None where there is no outbox: no file, no
    table, or a store that is an inbox only."""
    of_others: Mapping[str, Backlog] = field(default_factory=dict[str, Backlog])
    """By the bus."""


NO_OUTBOX: Final = Backlogs()


def rows(messages: Sequence[Message], keys: Sequence[str | None], now: int, bus: str) -> list[dict[str, Any]]:
    """`now` in microseconds. Raises `InvalidEvent` for a header value that cannot travel."""
    return [_row(message, key, now, bus) for message, key in zip(messages, keys, strict=True)]


def entry(row: Sequence[Any], now: int) -> OutboxEntry | None:
    """None where the row is damaged: it is not what was put."""
    number, key, queue, properties, body, checksum, due_at = row
    if not isinstance(properties, str) or not isinstance(body, bytes):
        return None
    if _checksum(properties, body) != checksum:
        return None
    message = unpack(properties, body)
    if queue is not None or due_at is not None:
        delay = 0.0 if due_at is None else max(0, due_at - now) / _SECOND
        message = replace(message, queue=queue, delay=delay)
    return OutboxEntry(number, message, key)


def backlog_of(row: Sequence[Any], now: int) -> Backlog:
    """How many, their bytes, and when the oldest was put."""
    events, size, oldest = row
    return Backlog(events, size, None if oldest is None else max(0.0, (now - oldest) / _SECOND))


def _row(message: Message, key: str | None, now: int, bus: str) -> dict[str, Any]:
    properties = pack(message)
    return {
        "event_id": message.event_id,
        "key": key,
        "queue": message.queue,
        "properties": properties,
        "body": message.body,
        "checksum": _checksum(properties, message.body),
        "due_at": _due_at(message.delay, now),
        "created_at": now,
        "bus": bus,
    }


def _due_at(delay: float, now: int) -> int | None:
    """Rounded up: never early."""
    return now + int(delay * _SECOND) + 1 if delay > 0 else None


def _checksum(properties: str, body: bytes) -> int:
    return zlib.crc32(body, zlib.crc32(properties.encode("ascii", "replace")))
