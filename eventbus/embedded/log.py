"""The history, read from any point on, and then as it grows."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Final, Literal, assert_never

from eventbus.embedded.bulk import within_bytes
from eventbus.embedded.engine import Engine
from eventbus.record import microseconds, moment, unpack
from eventbus.transport import LogBounds, LogEntry, LogStart

_BATCH: Final = 200
_ENTRIES: Final = """
    SELECT "offset", logged_at, properties, body FROM eventbus_log
    WHERE "offset" >= ? AND "offset" < ? ORDER BY "offset" LIMIT ?
"""
_FIRST: Final = 1
_NO_END: Final = 2**63 - 1
_NEWEST: Final = "SELECT seq FROM sqlite_sequence WHERE name = 'eventbus_log'"
_OLDEST: Final = 'SELECT min("offset") FROM eventbus_log'
_TO_READ: Final = """
    SELECT min("offset"), (
        SELECT seq FROM sqlite_sequence WHERE name = 'eventbus_log'
    ) + 1 - min("offset") - count(*)
    FROM eventbus_log INDEXED BY eventbus_log_time WHERE "offset" >= ?
"""
"""The first entry, and how many are gone behind it. By the index, which has no bodies; in one statement, so
that nobody writes in between."""
_SINCE: Final = 'SELECT min("offset") FROM eventbus_log INDEXED BY eventbus_log_time WHERE logged_at >= ?'
"""By the index: else SQLite looks at one entry after another, bodies and all, until one is late enough."""


@asynccontextmanager
async def follow(
    engine: Engine, start: LogStart, until: int | None
) -> AsyncGenerator[AsyncIterator[Sequence[LogEntry]]]:
    """From `start` on; "next" means whatever is sent after what this process has sent so far."""
    place = (
        _Place((await bounds(engine)).end) if start == "next" else await engine.read(partial(_place, start))
    )
    reading = _following(engine, place) if until is None else _bounded(engine, place, until)
    async with aclosing(reading) as batches:
        yield batches


async def bounds(engine: Engine) -> LogBounds:
    """In its turn among what this process writes, so that all it has sent lies before the end."""
    return await engine.run(lambda transaction: _bounds(transaction.connection))


def so_far(connection: sqlite3.Connection, offset: int) -> list[LogEntry]:
    """All that is logged from `offset` on."""
    entries: list[LogEntry] = []
    while more := _read(offset, _NO_END, connection):
        entries += more
        offset = more[-1].offset + 1
    return entries


@dataclass(slots=True)
class _Place:
    """How far somebody has read. Offsets have no gaps but those that retention makes."""

    offset: int
    known_missing: int = 0
    """What was gone already when the reading began, behind entries that queues still referred to: who begins
    with all there is, or at a time, is not told of it."""

    def pass_by(self, entries: Sequence[LogEntry]) -> list[LogEntry]:
        """They have been read: the answer tells what was missing between them."""
        return [self._pass(entry) for entry in entries]

    def _pass(self, entry: LogEntry) -> LogEntry:
        gap = entry.offset - self.offset
        self.offset = entry.offset + 1
        if not gap:
            return entry
        missing = max(0, gap - self.known_missing)
        self.known_missing -= gap - missing
        return replace(entry, missing=missing)


async def _bounded(engine: Engine, place: _Place, until: int) -> AsyncGenerator[Sequence[LogEntry]]:
    while not engine.closed and (entries := await engine.read(partial(_read, place.offset, until))):
        yield place.pass_by(entries)


async def _following(engine: Engine, place: _Place) -> AsyncGenerator[Sequence[LogEntry]]:
    with engine.watch.bell() as bell:
        while not engine.closed:
            bell.silence()
            entries = await engine.read(partial(_read, place.offset, _NO_END))
            if entries:
                yield place.pass_by(entries)
            else:
                await bell.wait()


def _place(start: Literal["first"] | int | datetime, connection: sqlite3.Connection) -> _Place:
    match start:
        case "first":
            return _beginning(connection, _FIRST)
        case int():
            return _Place(max(start, _FIRST))
        case datetime():
            found: int | None = connection.execute(_SINCE, (microseconds(start),)).fetchone()[0]
            return _Place(_next_offset(connection)) if found is None else _beginning(connection, found)
        case _:
            assert_never(start)


def _beginning(connection: sqlite3.Connection, offset: int) -> _Place:
    first, missing = connection.execute(_TO_READ, (offset,)).fetchone()
    return _Place(_next_offset(connection)) if first is None else _Place(first, missing)


def _bounds(connection: sqlite3.Connection) -> LogBounds:
    end = _next_offset(connection)
    first: int | None = connection.execute(_OLDEST).fetchone()[0]
    return LogBounds(first=end if first is None else first, end=end)


def _next_offset(connection: sqlite3.Connection) -> int:
    """Also where all that was logged before has been trimmed."""
    row = connection.execute(_NEWEST).fetchone()
    return _FIRST if row is None else row[0] + 1


def _read(offset: int, until: int, connection: sqlite3.Connection) -> list[LogEntry]:
    found = within_bytes(connection.execute(_ENTRIES, (offset, until, _BATCH)))
    return [
        LogEntry(offset=number, message=unpack(properties, body), logged_at=moment(logged_at))
        for number, logged_at, properties, body in found
    ]
