"""Streams of events. An append is one statement; the order of all streams is made when somebody reads it.

See `docs/adr/0013-positions-are-given-after-the-commit.md`.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Final, TypeVar

from eventbus.clock import Clock
from eventbus.databases.postgres.database import PASSING, Connection, explained
from eventbus.databases.postgres.lane import Lane
from eventbus.event_store import (
    Appended,
    Appending,
    AppendOutcome,
    Conflict,
    Following,
    JoinedStreams,
    StoredEvent,
    StoredSnapshot,
)
from eventbus.record import microseconds
from eventbus.stores.entries import rows
from eventbus.stores.options import StoreOptions
from eventbus.stores.postgres.following import Followers
from eventbus.stores.postgres.inbox import changed_rows
from eventbus.stores.postgres.joining import Joining, Place, checked
from eventbus.stores.postgres.statements import Statements

Answer = TypeVar("Answer")

_DESKS: Final = 4
"""Connections for what is appended and read: that many appends of a process share a wait for the disk."""
_PLACED_AT_ONCE: Final = 10_000
_OUTBOX_COLUMNS: Final = ("event_id", "key", "properties", "body", "checksum")


class PostgresStreams:
    def __init__(self, place: Place, options: StoreOptions, clock: Clock) -> None:
        self._place = place
        self._statements = place.statements
        self._clock = clock
        self._desks = [Lane(place.address, options.timeout) for _ in range(_DESKS)]
        self._next_desk = itertools.cycle(self._desks)
        self._followers = Followers(place.address, place.statements, options.timeout)

    async def append(self, appending: Appending) -> AppendOutcome:
        return await self._ask(_appended(self._place, appending, self._now()))

    async def version(self, stream: str) -> int:
        return await self._ask(_number(self._statements["stream_version"], stream))

    async def read(self, stream: str, *, after: int, limit: int) -> Sequence[StoredEvent]:
        return await self._ask(_fetched(self._statements["events_of"], stream, after, limit))

    async def read_all(self, *, after: int, limit: int) -> Sequence[StoredEvent]:
        fetch = _fetched(self._statements["events_of_all"], after, limit)

        async def read(connection: Connection) -> list[StoredEvent]:
            found = await fetch(connection)
            if len(found) < limit and await connection.fetchval(
                self._statements["place_events"], _PLACED_AT_ONCE
            ):
                found = await fetch(connection)
            return found

        return await self._ask(read)

    async def snapshot(self, stream: str, kind: str) -> StoredSnapshot | None:
        return await self._ask(_snapshot(self._statements["snapshot"], stream, kind))

    async def keep_snapshot(self, stream: str, kind: str, snapshot: StoredSnapshot) -> None:
        await self._ask(_kept(self._statements, stream, kind, snapshot, self._now()))

    async def position(self, projection: str) -> int:
        return await self._ask(_number(self._statements["projection_position"], projection))

    def follow(self) -> AbstractAsyncContextManager[Following]:
        return self._followers.follow()

    def join(self, transaction: object) -> JoinedStreams:
        return _Joined(self._place.joining(transaction), self._place, self._clock)

    async def close(self) -> None:
        await asyncio.gather(self._followers.close(), *(desk.close() for desk in self._desks))

    async def _ask(self, question: Callable[[Connection], Awaitable[Answer]]) -> Answer:
        """At the first free desk, which is warm, else at the next."""
        free = (desk for desk in self._desks if not desk.is_busy)
        return await (next(free, None) or next(self._next_desk)).ask(question)

    def _now(self) -> int:
        return microseconds(self._clock.now())


class _Joined:
    def __init__(self, joining: Joining, place: Place, clock: Clock) -> None:
        self._joining = joining
        self._place = place
        self._clock = clock

    async def version(self, stream: str) -> int:
        return await self._said(_number(self._place.statements["stream_version"], stream))

    async def read(self, stream: str, *, after: int, limit: int) -> Sequence[StoredEvent]:
        return await self._said(_fetched(self._place.statements["events_of"], stream, after, limit))

    async def snapshot(self, stream: str, kind: str) -> StoredSnapshot | None:
        return await self._said(_snapshot(self._place.statements["snapshot"], stream, kind))

    async def append(self, appending: Appending) -> AppendOutcome:
        return await self._said(_appended(self._place, appending, microseconds(self._clock.now())))

    async def keep_snapshot(self, stream: str, kind: str, snapshot: StoredSnapshot) -> None:
        now = microseconds(self._clock.now())
        await self._said(_kept(self._place.statements, stream, kind, snapshot, now))

    async def advance(self, projection: str, *, expected: int, to: int) -> bool:
        sql = self._place.statements

        async def advance(connection: Connection) -> bool:
            await connection.execute(sql["projection_enter"], projection)
            status = await connection.execute(sql["projection_advance"], projection, expected, to)
            return changed_rows(status) == 1

        return await self._said(advance)

    async def _said(self, question: Callable[[Connection], Awaitable[Answer]]) -> Answer:
        connection = await checked(self._joining, self._place)
        try:
            return await question(connection)
        except PASSING as error:
            raise explained(error, self._place.address) from error


def _fetched(statement: str, *parameters: object) -> Callable[[Connection], Awaitable[list[StoredEvent]]]:
    async def fetch(connection: Connection) -> list[StoredEvent]:
        return [StoredEvent(*row.values()) for row in await connection.fetch(statement, *parameters)]

    return fetch


def _number(statement: str, name: str) -> Callable[[Connection], Awaitable[int]]:
    async def ask(connection: Connection) -> int:
        return await connection.fetchval(statement, name) or 0

    return ask


def _snapshot(
    statement: str, stream: str, kind: str
) -> Callable[[Connection], Awaitable[StoredSnapshot | None]]:
    async def ask(connection: Connection) -> StoredSnapshot | None:
        row = await connection.fetchrow(statement, stream, kind)
        return None if row is None else StoredSnapshot(row[0], row[1])

    return ask


def _appended(
    place: Place, appending: Appending, now: int
) -> Callable[[Connection], Awaitable[AppendOutcome]]:
    """Raises `InvalidEvent` for a header value that cannot travel."""
    put = rows(appending.messages, appending.keys, now, place.bus)
    parameters = (
        *(appending.stream, appending.expected),
        *([message.routing_key for message in appending.messages], list(appending.versions)),
        *([row[name] for row in put] for name in _OUTBOX_COLUMNS),
        now,
        place.bus,
    )

    async def append(connection: Connection) -> AppendOutcome:
        row = await connection.fetchrow(place.statements["append"], *parameters)
        assert row is not None  # noqa: S101  a function answers with one
        return Conflict(row[1]) if row[0] is None else Appended(row[0])

    return append


def _kept(
    statements: Statements, stream: str, kind: str, snapshot: StoredSnapshot, now: int
) -> Callable[[Connection], Awaitable[str]]:
    parameters = (stream, kind, snapshot.version, snapshot.state, now)
    return lambda connection: connection.execute(statements["keep_snapshot"], *parameters)
