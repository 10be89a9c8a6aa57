"""Waiting for what is new in the order of all streams: by NOTIFY, on one connection for all who wait.

Every append puts its events into the outbox too, so that one channel tells of both.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

from eventbus.databases.postgres.address import Address
from eventbus.databases.postgres.database import Connection
from eventbus.databases.postgres.lane import Lane
from eventbus.event_store import Following
from eventbus.stores.postgres.statements import Statements


class Followers:
    def __init__(self, address: Address, statements: Statements, timeout: float) -> None:
        self._channel = statements.channel
        self._told: set[asyncio.Event] = set()
        self._lane = Lane(address, timeout, ready=self._listen, lost=self._tell)

    @asynccontextmanager
    async def follow(self) -> AsyncGenerator[Following]:
        told = asyncio.Event()
        self._told.add(told)
        try:
            yield _Following(self._lane, told)
        finally:
            self._told.discard(told)

    async def close(self) -> None:
        self._tell()
        await self._lane.close()

    async def _listen(self, connection: Connection) -> None:
        await connection.add_listener(self._channel, self._hear)
        self._tell()  # nobody has listened before

    def _hear(self, *_: object) -> None:
        self._tell()

    def _tell(self) -> None:
        for told in self._told:
            told.set()


class _Following:
    def __init__(self, lane: Lane, told: asyncio.Event) -> None:
        self._lane = lane
        self._told = told

    def look(self) -> None:
        self._told.clear()

    async def changed(self, *, within: float) -> None:
        await self._lane.ask(_nothing)
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self._told.wait()


async def _nothing(_: Connection) -> None:
    """It is enough that the connection is there."""
