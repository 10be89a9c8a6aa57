"""Transactions that a handler's own statements are part of; one at a time, for SQLite has one writer."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from eventbus.databases.sqlite.address import Address
from eventbus.databases.sqlite.database import connect, is_passing, patiently, unavailable
from eventbus.store import StoreUnavailable, WrongTransaction
from eventbus.stores.sqlite.lazy import LazyConnection
from eventbus.stores.sqlite.owner import Owner
from eventbus.stores.sqlite.watch import Watch

Answer = TypeVar("Answer")


class SqliteTransaction:
    """Its connection holds the write lock from the first statement on."""

    def __init__(self, transactions: Transactions, connection: LazyConnection) -> None:
        self._transactions = transactions
        self._connection = connection
        self.has_ended = False

    @property
    def connection(self) -> LazyConnection:
        if self.has_ended:
            raise WrongTransaction("it has ended", "Use it inside of the handler only.")
        return self._connection

    async def execute(self, statement: str, *parameters: object) -> int:
        return await self.run(lambda connection: connection.execute(statement, parameters).rowcount)

    async def fetch(self, statement: str, *parameters: object) -> Sequence[Mapping[str, Any]]:
        def fetch(connection: LazyConnection) -> list[dict[str, Any]]:
            cursor = connection.execute(statement, parameters)
            names = [column[0] for column in cursor.description or ()]
            return [dict(zip(names, row, strict=True)) for row in cursor]

        return await self.run(fetch)

    async def run(self, work: Callable[[LazyConnection], Answer]) -> Answer:
        """In the thread of transactions, where nobody minds waiting for the lock."""
        return await self._transactions.run(work, self.connection)


class Transactions:
    def __init__(self, address: Address, timeout: float, owner: Owner, watch: Watch) -> None:
        self._address = address
        self._timeout = timeout
        self._owner = owner
        self._watch = watch
        self._turn = asyncio.Lock()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="eventbus-transaction")
        self._connection: LazyConnection | None = None
        self._is_closed = False

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[SqliteTransaction]:
        async with self._turn:
            connection = await self._lend()
            transaction = SqliteTransaction(self, connection)
            try:
                yield transaction
                transaction.has_ended = True
                await self._finish(self._commit, connection)
            finally:
                transaction.has_ended = True
                await self._finish(self._take_back, connection)
        self._watch.tell()

    async def run(self, work: Callable[[LazyConnection], Answer], connection: LazyConnection) -> Answer:
        """Raises the driver's own errors, but `StoreUnavailable` for those that pass."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work, connection)
        except sqlite3.Error as error:
            if is_passing(error):
                raise unavailable(error, self._address) from error
            raise

    async def close(self) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        await asyncio.to_thread(self._thread.shutdown)
        if self._connection is not None:
            self._connection.close_lent()

    async def _lend(self) -> LazyConnection:
        if self._is_closed:
            raise StoreUnavailable(self._address.url, "it is not open")
        if self._connection is None:
            try:
                self._connection = connect(self._address, LazyConnection, durable=True)
            except sqlite3.Error as error:
                raise unavailable(error, self._address) from error
            self._connection.address = self._address
            self._connection.patience = self._timeout
        self._connection.is_lent = True
        return self._connection

    async def _finish(self, step: Callable[[LazyConnection], None], connection: LazyConnection) -> None:
        """To its end, also when it is cancelled meanwhile: the next transaction has the same connection."""
        ending = asyncio.ensure_future(self.run(step, connection))
        try:
            await asyncio.shield(ending)
        except asyncio.CancelledError:
            await asyncio.wait({ending})
            raise

    def _commit(self, connection: LazyConnection) -> None:
        if connection.in_transaction:
            # Nobody could say that this process lives while it held the lock.
            self._owner.beat(connection)
            patiently(connection.commit_lent, self._timeout)

    def _take_back(self, connection: LazyConnection) -> None:
        connection.is_lent = False
        connection.roll_back_lent()
