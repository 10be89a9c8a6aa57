"""Waking whoever waits for the outbox: at once for this process, within a poll for others."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Generator
from contextlib import contextmanager, suppress

from eventbus.databases.sqlite.address import Address
from eventbus.databases.sqlite.database import connect
from eventbus.stores.sqlite.statements import statements


class Watch:
    """Knows up to which event the outbox was looked at; only a newer one wakes."""

    def __init__(self, address: Address, interval: float) -> None:
        self._interval = interval
        self._told = asyncio.Event()
        self._others: set[asyncio.Event] = set()
        self._seen = 0
        self._version: int | None = None
        self._probe = None if address.file is None else connect(address, sqlite3.Connection, durable=False)

    def seen(self, newest: int) -> None:
        """Somebody looks at all up to there."""
        self._seen = max(self._seen, newest)
        self._told.clear()
        self._version = None

    def tell(self) -> None:
        """This process has put something."""
        self._told.set()
        for told in self._others:
            told.set()

    @contextmanager
    def telling(self) -> Generator[asyncio.Event]:
        """Set whenever this process has put something; for those who wait for more than the outbox."""
        told = asyncio.Event()
        self._others.add(told)
        try:
            yield told
        finally:
            self._others.discard(told)

    async def changed(self, within: float) -> None:
        loop = asyncio.get_running_loop()
        ends = loop.time() + within
        while not self._told.is_set() and not self._others_have_put():
            pause = ends - loop.time()
            if pause <= 0:
                return
            if self._probe is not None:
                pause = min(pause, self._interval)
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._told.wait()

    def close(self) -> None:
        self._told.set()
        if self._probe is not None:
            self._probe.close()
            self._probe = None

    def _others_have_put(self) -> bool:
        """What changes most often are claims and heartbeats, which nobody is woken for."""
        if self._probe is None:
            return False
        try:
            version: int = self._probe.execute("PRAGMA data_version").fetchone()[0]
            if version == self._version:
                return False
            found = self._probe.execute(statements()["newest"]).fetchone()
        except sqlite3.OperationalError:  # locked for a moment by a process that recovers the log
            return False
        self._version = version
        return found is not None and found[0] > self._seen
