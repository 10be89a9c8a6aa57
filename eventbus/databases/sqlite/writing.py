"""Who writes: one thread of the process for each file."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

from eventbus.databases.sqlite.address import Address
from eventbus.databases.sqlite.database import connect, in_transaction, set_durable

Answer = TypeVar("Answer")


class Writing(Protocol):
    """A writer of the file that this process has already: two of them would compete for its one lock."""

    async def write(self, work: Callable[[sqlite3.Connection], Answer], *, durable: bool) -> Answer:
        """What `work` answers, in a transaction that is committed when this returns; others may share it.

        `work` may run twice, the first run being rolled back. `durable`: on the disk when it returns.
        Raises `sqlite3.Error` or `BrokerUnreachable` when SQLite does not take it, and what `work` raises.
        """
        ...


class OwnWriting:
    """A thread and a connection of our own."""

    def __init__(self, address: Address, timeout: float) -> None:
        self._timeout = timeout
        self._connection = connect(address, sqlite3.Connection, durable=False)
        self._is_durable = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"eventbus-{address.what}")

    async def write(self, work: Callable[[sqlite3.Connection], Answer], *, durable: bool) -> Answer:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._write, work, durable)

    async def close(self) -> None:
        await asyncio.to_thread(self._thread.shutdown)
        self._connection.close()

    def _write(self, work: Callable[[sqlite3.Connection], Answer], durable: bool) -> Answer:  # noqa: FBT001  run_in_executor knows no names
        connection = self._connection
        if durable != self._is_durable:
            set_durable(connection, durable=durable)
            self._is_durable = durable
        return in_transaction(connection, lambda: work(connection), self._timeout)
