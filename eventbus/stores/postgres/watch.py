"""Waking whoever waits for the outbox: by NOTIFY, on the connection that takes from it."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from eventbus.databases.postgres.database import Connection
from eventbus.stores.postgres.statements import Statements


class Watch:
    def __init__(self, statements: Statements) -> None:
        self._channel = statements.channel
        self._told = asyncio.Event()

    async def listen(self, connection: Connection) -> None:
        await connection.add_listener(self._channel, self._hear)

    def _hear(self, *_: object) -> None:
        self.tell()

    def seen(self) -> None:
        """Somebody listens already, and looks now: what is put from here on is told of."""
        self._told.clear()

    def tell(self) -> None:
        """There may be something; or nobody listens any more, and whoever waits has to look himself."""
        self._told.set()

    async def changed(self, within: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self._told.wait()
