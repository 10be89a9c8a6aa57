"""The history, read from any point on, and then as it grows."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
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
_NO_END: Final = 2**63 - 1
_NEWEST: Final = "SELECT seq FROM sqlite_sequence WHERE name = 'eventbus_log'"
_OLDEST: Final = 'SELECT min("offset") FROM eventbus_log'
_SINCE: Final = 'SELECT min("offset") FROM eventbus_log INDEXED BY eventbus_log_time WHERE logged_at >= ?'
"""By the index: else SQLite looks at one entry after another, bodies and all, until one is late enough."""


@asynccontextmanager
async def follow(
    engine: Engine, start: LogStart, until: int | None
) -> AsyncGenerator[AsyncIterator[Sequence[LogEntry]]]:
    """From `start` on; "next" means whatever is sent after what this process has sent so far."""
    offset = (await bounds(engine)).end if start == "next" else await engine.read(partial(_position, start))
    reading = _following(engine, offset) if until is None else _bounded(engine, offset, until)
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


async def _bounded(engine: Engine, offset: int, until: int) -> AsyncGenerator[Sequence[LogEntry]]:
    while not engine.closed and (entries := await engine.read(partial(_read, offset, until))):
        yield entries
        offset = entries[-1].offset + 1


async def _following(engine: Engine, offset: int) -> AsyncGenerator[Sequence[LogEntry]]:
    with engine.watch.bell() as bell:
        while not engine.closed:
            bell.silence()
            entries = await engine.read(partial(_read, offset, _NO_END))
            if entries:
                yield entries
                offset = entries[-1].offset + 1
            else:
                await bell.wait()


def _position(start: Literal["first"] | int | datetime, connection: sqlite3.Connection) -> int:
    match start:
        case "first":
            return 0
        case int():
            return start
        case datetime():
            found: int | None = connection.execute(_SINCE, (microseconds(start),)).fetchone()[0]
            return _next_offset(connection) if found is None else found
        case _:
            assert_never(start)


def _bounds(connection: sqlite3.Connection) -> LogBounds:
    end = _next_offset(connection)
    first: int | None = connection.execute(_OLDEST).fetchone()[0]
    return LogBounds(first=end if first is None else first, end=end)


def _next_offset(connection: sqlite3.Connection) -> int:
    """Also where all that was logged before has been trimmed."""
    row = connection.execute(_NEWEST).fetchone()
    return 1 if row is None else row[0] + 1


def _read(offset: int, until: int, connection: sqlite3.Connection) -> list[LogEntry]:
    found = within_bytes(connection.execute(_ENTRIES, (offset, until, _BATCH)))
    return [
        LogEntry(offset=number, message=unpack(properties, body), logged_at=moment(logged_at))
        for number, logged_at, properties, body in found
    ]
