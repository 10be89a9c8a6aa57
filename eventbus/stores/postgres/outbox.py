"""The outbox: relays of a bus share it by shards, and no key of it is ever with two of them.

A shard is held by an advisory lock of the relay's session, so it is free the moment that its connection is
gone. Ids are in the order of the transactions that were one after the other; nothing remembers the last id,
so that what commits late is taken late, and not skipped.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Final

from eventbus.clock import Clock
from eventbus.databases.postgres.address import Address
from eventbus.databases.postgres.database import Connection
from eventbus.databases.postgres.lane import Lane
from eventbus.logs import get_logger
from eventbus.record import microseconds
from eventbus.store import Backlog, OutboxEntry, StoreUnavailable, Taken
from eventbus.stores.entries import backlog_of, entry
from eventbus.stores.options import StoreOptions
from eventbus.stores.postgres.statements import Statements
from eventbus.stores.postgres.watch import Watch
from eventbus.stores.postgres.writing import Putting
from eventbus.stores.taking import Taking
from eventbus.transport import Message

_TRIMMED_AT_ONCE: Final = 1000


class PostgresOutbox:
    def __init__(self, address: Address, statements: Statements, options: StoreOptions, clock: Clock) -> None:
        self._statements = statements
        self._keep_sent = options.keep_sent
        self._bus = options.bus
        self._clock = clock
        self._watch = Watch(statements)
        self._desk = Lane(address, options.timeout)
        """For what is put and counted."""
        self._relay = Lane(address, options.timeout, ready=self._watch.listen, lost=self._watch.tell)
        """Takes, and listens; its session holds the locks."""
        self._taking = Taking(self)
        self._log = get_logger("eventbus.outbox").bind(store=address.url)

    async def put(self, messages: Sequence[Message], keys: Sequence[str | None]) -> None:
        if messages:
            await self._desk.ask(Putting(self._statements, messages, keys, self._now(), self._bus))

    def take(self, limit: int) -> AbstractAsyncContextManager[Taken]:
        return self._taking.take(limit)

    async def changed(self, *, within: float) -> None:
        await self._watch.changed(within)

    async def backlog(self) -> Backlog:
        sql, bus, now = self._statements, self._bus, self._now()
        return await self._desk.ask(lambda connection: backlog(connection, sql, bus, now))

    async def backlogs_of_others(self) -> Mapping[str, Backlog]:
        sql, bus, now = self._statements, self._bus, self._now()
        return await self._desk.ask(lambda connection: backlogs_of_others(connection, sql, bus, now))

    async def close(self) -> None:
        self._watch.tell()
        await asyncio.gather(self._relay.close(), self._desk.close())

    async def begin(self, limit: int) -> list[OutboxEntry]:
        now = self._now()

        async def begin(connection: Connection) -> list[tuple[int, OutboxEntry | None]]:
            self._watch.seen()
            found = await connection.fetch(self._statements["take"], limit, self._bus)
            read = [(row[0], entry(tuple(row), now)) for row in found]
            damaged = [number for number, whole in read if whole is None]
            if damaged:
                await connection.execute(self._statements["set_aside"], damaged)
            if len(damaged) == len(read):
                await connection.execute(self._statements["let_go"])
            return read

        read = await self._relay.ask(begin)
        for number in (number for number, whole in read if whole is None):
            self._log.error("outbox.damaged", id=number)
        return [whole for _, whole in read if whole is not None]

    async def end(self) -> None:
        try:
            await self._relay.ask(lambda connection: connection.execute(self._statements["let_go"]))
        except StoreUnavailable as error:  # the locks end with the connection
            self._log.warning("outbox.let_go_failed", error=str(error))

    async def mark_sent(self, entries: Sequence[OutboxEntry]) -> None:
        sql, ids, now = self._statements, [entry.id for entry in entries], self._clock.now()

        async def mark(connection: Connection) -> None:
            if self._keep_sent is None:
                await connection.execute(sql["remove"], ids)
                return
            await connection.execute(sql["keep"], ids, microseconds(now))
            await connection.execute(sql["trim"], microseconds(now - self._keep_sent), _TRIMMED_AT_ONCE)

        await self._relay.ask(mark)

    def _now(self) -> int:
        return microseconds(self._clock.now())


async def backlog(connection: Connection, statements: Statements, bus: str, now: int) -> Backlog:
    (row,) = await connection.fetch(statements["backlog"], bus)
    return backlog_of(tuple(row), now)


async def backlogs_of_others(
    connection: Connection, statements: Statements, bus: str, now: int
) -> Mapping[str, Backlog]:
    found = await connection.fetch(statements["backlogs_of_others"], bus)
    return {bus_of_row: backlog_of(row, now) for bus_of_row, *row in found}
