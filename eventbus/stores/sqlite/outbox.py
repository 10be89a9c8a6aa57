"""The outbox: of each bus one relay sends at a time, in the order of the commits; others stand by."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Final

from eventbus.clock import Clock
from eventbus.databases.sqlite.access import Access
from eventbus.logs import get_logger
from eventbus.record import microseconds
from eventbus.store import Backlog, OutboxEntry, StoreUnavailable, Taken
from eventbus.stores.entries import backlog_of, entry, rows
from eventbus.stores.options import StoreOptions
from eventbus.stores.sqlite.owner import Owner, uptime
from eventbus.stores.sqlite.statements import statements
from eventbus.stores.sqlite.watch import Watch
from eventbus.stores.taking import Taking
from eventbus.transport import Message

_TRIMMED_AT_ONCE: Final = 1000


class SqliteOutbox:
    def __init__(
        self, access: Access, owner: Owner, options: StoreOptions, clock: Clock, watch: Watch
    ) -> None:
        self._access = access
        self._owner = owner
        self._keep_sent = options.keep_sent
        self._bus = options.bus
        self._clock = clock
        self._watch = watch
        self._taking = Taking(self)
        self._log = get_logger("eventbus.outbox").bind(store=access.address.url)

    async def put(self, messages: Sequence[Message], keys: Sequence[str | None]) -> None:
        if not messages:
            return
        put = rows(messages, keys, self._now(), self._bus)

        def insert(connection: sqlite3.Connection) -> None:
            connection.executemany(statements()["put"], put)

        await self._access.write(insert, durable=True)
        self._watch.tell()

    def take(self, limit: int) -> AbstractAsyncContextManager[Taken]:
        return self._taking.take(limit)

    async def changed(self, *, within: float) -> None:
        await self._watch.changed(within)

    async def backlog(self) -> Backlog:
        return await self._access.read(partial(backlog, bus=self._bus, now=self._now()))

    async def backlogs_of_others(self) -> Mapping[str, Backlog]:
        return await self._access.read(partial(backlogs_of_others, bus=self._bus, now=self._now()))

    async def begin(self, limit: int) -> list[OutboxEntry]:
        """Nothing where nothing waits, which costs no write, or another relay is at it."""

        def newest(connection: sqlite3.Connection) -> tuple[int, bool]:
            seen = connection.execute(statements()["newest"]).fetchone()
            waits = connection.execute(statements()["waits"], {"bus": self._bus}).fetchone()[0]
            return (0 if seen is None else seen[0]), bool(waits)

        seen, waits = await self._access.read(newest)
        self._watch.seen(seen)
        if not waits:
            return []
        now = self._now()

        def lead(connection: sqlite3.Connection) -> tuple[list[OutboxEntry], list[int]]:
            sql, owner = statements(), self._owner.id
            leading = {"bus": self._bus, "owner": owner, "uptime": uptime()}
            if connection.execute(sql["lead"], leading).rowcount == 0:
                return [], []
            connection.execute(sql["adopt"], {"bus": self._bus})
            found = connection.execute(sql["take"], {"bus": self._bus, "limit": limit}).fetchall()
            read = [(row[0], entry(row, now)) for row in found]
            damaged = [number for number, whole in read if whole is None]
            connection.executemany(sql["set_aside"], [{"id": number} for number in damaged])
            if len(damaged) == len(read):
                connection.execute(sql["stand_down"], {"owner": owner})
            return [whole for _, whole in read if whole is not None], damaged

        entries, damaged = await self._access.write(lead, durable=False)
        for number in damaged:
            self._log.error("outbox.damaged", id=number)
        return entries

    async def end(self) -> None:
        def stand_down(connection: sqlite3.Connection) -> None:
            connection.execute(statements()["stand_down"], {"owner": self._owner.id})

        try:
            await self._access.write(stand_down, durable=False)
        except StoreUnavailable as error:
            # The next `take` here leads on and stands down after it; others lead when this process is dead.
            self._log.warning("outbox.stand_down_failed", error=str(error))

    async def mark_sent(self, entries: Sequence[OutboxEntry]) -> None:
        now = self._clock.now()
        sent = [{"id": entry.id, "now": microseconds(now)} for entry in entries]

        def remove(connection: sqlite3.Connection) -> None:
            sql = statements()
            if self._keep_sent is None:
                connection.executemany(sql["remove"], sent)
                return
            connection.executemany(sql["keep"], sent)
            before = microseconds(now - self._keep_sent)
            connection.execute(sql["trim"], {"before": before, "limit": _TRIMMED_AT_ONCE})

        await self._access.write(remove, durable=False)

    def _now(self) -> int:
        return microseconds(self._clock.now())


def backlog(connection: sqlite3.Connection, *, bus: str, now: int) -> Backlog:
    return backlog_of(connection.execute(statements()["backlog"], {"bus": bus}).fetchone(), now)


def backlogs_of_others(connection: sqlite3.Connection, *, bus: str, now: int) -> Mapping[str, Backlog]:
    found = connection.execute(statements()["backlogs_of_others"], {"bus": bus})
    return {row[0]: backlog_of(row[1:], now) for row in found}
