"""This process as one that claims: who it is, and that it lives."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import Callable
from contextlib import suppress

from eventbus.databases.postgres.address import Address
from eventbus.databases.postgres.database import Connection, explained
from eventbus.databases.postgres.lane import Lane
from eventbus.store import StoreUnavailable
from eventbus.stores.options import StoreOptions
from eventbus.stores.postgres.statements import Statements


class Owner:
    """Its number is never another's, so that what it has lost stays lost."""

    def __init__(self, address: Address, statements: Statements, options: StoreOptions) -> None:
        self.id = 0
        self.lease = options.lease
        self._address = address
        self._statements = statements
        self._host = socket.gethostname()
        self._stop: Callable[[], object] = lambda: None
        self._thread: threading.Thread | None = None

    async def enter(self, connection: Connection) -> None:
        await connection.execute(self._statements["bury"])
        self.id = await connection.fetchval(self._statements["enter"], self._host, os.getpid(), self.lease)

    async def leave(self, connection: Connection) -> None:
        """What it holds is anybody's from now on."""
        await connection.execute(self._statements["leave"], self.id)

    def start(self) -> None:
        """In a thread with a loop and a connection of its own: a handler may hold up the event loop.

        Raises `StoreUnavailable` where there is no such loop to be had, for want of file descriptors.
        """
        stopped = asyncio.Event()
        runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
        try:
            loop = runner.get_loop()
        except OSError as error:
            raise explained(error, self._address) from error

        def live() -> None:
            with runner:
                runner.run(self._live(stopped))

        self._thread = threading.Thread(target=live, name="eventbus-store-heartbeat", daemon=True)
        self._thread.start()
        self._stop = lambda: loop.call_soon_threadsafe(stopped.set)

    def stop(self) -> None:
        self._stop()
        if self._thread is not None:
            self._thread.join()

    async def _live(self, stopped: asyncio.Event) -> None:
        """What fails is tried again with the next beat."""
        pause = self.lease / 3
        lane = Lane(self._address, pause)
        stopping = asyncio.create_task(stopped.wait())
        try:
            while not stopped.is_set():
                await asyncio.wait({stopping}, timeout=pause)
                if not stopped.is_set():
                    beating = asyncio.create_task(self._beat(lane))
                    await asyncio.wait({beating, stopping}, return_when=asyncio.FIRST_COMPLETED)
                    beating.cancel()
                    await asyncio.wait({beating})
        finally:
            stopping.cancel()
            await lane.close()

    async def _beat(self, lane: Lane) -> None:
        """Also after somebody has buried it: what nobody else has claimed since is still ours."""
        row = (self.id, self._host, os.getpid(), self.lease)
        with suppress(StoreUnavailable):
            await lane.ask(lambda connection: connection.execute(self._statements["beat"], *row))
