"""Waiting for what is new in the order of all streams: told at once, or found by a poll."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing, suppress
from typing import TypeAlias

from eventbus.databases.sqlite.address import Address
from eventbus.databases.sqlite.database import connect, explained
from eventbus.event_store import Following
from eventbus.stores.sqlite.statements import statements
from eventbus.stores.sqlite.watch import Watch

Follower: TypeAlias = AbstractAsyncContextManager[Following]


@asynccontextmanager
async def follower(address: Address, watch: Watch, interval: float) -> AsyncGenerator[Following]:
    try:
        probe = connect(address, sqlite3.Connection, durable=False)
    except sqlite3.Error as error:
        raise explained(error, address) from error
    with closing(probe), watch.telling() as told:
        yield _Following(probe, told, interval)


class _Following:
    def __init__(self, probe: sqlite3.Connection, told: asyncio.Event, interval: float) -> None:
        self._probe = probe
        self._told = told
        self._interval = interval
        self._seen = 0

    def look(self) -> None:
        self._told.clear()
        self._seen = self._newest()

    async def changed(self, *, within: float) -> None:
        loop = asyncio.get_running_loop()
        ends = loop.time() + within
        while not self._told.is_set() and self._newest() <= self._seen:
            pause = min(ends - loop.time(), self._interval)
            if pause <= 0:
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._told.wait()

    def _newest(self) -> int:
        try:
            found = self._probe.execute(statements()["newest_event"]).fetchone()
        except sqlite3.OperationalError:  # locked for a moment by a process that recovers the log
            return self._seen
        return 0 if found is None else found[0]
