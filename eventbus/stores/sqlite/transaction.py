"""Transactions that a handler's own statements are part of; one at a time, for SQLite has one writer."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from eventbus.databases.sqlite.address import Address
from eventbus.databases.sqlite.database import connect, is_passing, unavailable
from eventbus.store import StoreUnavailable, WrongTransaction
from eventbus.stores.awaited import Awaited
from eventbus.stores.sqlite.lazy import LazyConnection
from eventbus.stores.sqlite.owner import Owner
from eventbus.stores.sqlite.watch import Watch
from eventbus.waiting import to_its_end

Answer = TypeVar("Answer")


class SqliteTransaction:
    """Its connection holds the write lock from the first statement on."""

    def __init__(self, transactions: Transactions, connection: LazyConnection) -> None:
        self._transactions = transactions
        self._connection: LazyConnection | None = connection
        self._awaited = Awaited()

    @property
    def connection(self) -> LazyConnection:
        if self._connection is None:
            raise WrongTransaction("it has ended", "Use it inside of the handler only.")
        return self._connection

    def end(self) -> None:
        self._connection = None

    def check(self) -> None:
        """Raises `WrongTransaction` where a statement is missing."""
        self._awaited.check()

    def execute(self, statement: str, *parameters: object) -> Coroutine[Any, Any, int]:
        def execute(connection: LazyConnection) -> int:
            return connection.execute(statement, parameters).rowcount

        return self._awaited.made("execute", lambda: self.run(execute))

    def fetch(self, statement: str, *parameters: object) -> Coroutine[Any, Any, Sequence[Mapping[str, Any]]]:
        def fetch(connection: LazyConnection) -> list[dict[str, Any]]:
            cursor = connection.execute(statement, parameters)
            cursor.row_factory = None  # the handler's own may make something else of a row
            names = [column[0] for column in cursor.description or ()]
            return [dict(zip(names, row, strict=True)) for row in cursor]

        return self._awaited.made("fetch", lambda: self.run(fetch))

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
                transaction.end()
                transaction.check()
                await to_its_end(self.run(self._commit, connection))  # the next one begins after it
            except BaseException as error:
                transaction.end()
                connection.is_lent = False
                self._connection = None  # a thread of the handler may go on with it: nobody else is given it
                await to_its_end(self.run(LazyConnection.give_up, connection))
                if isinstance(error, sqlite3.Error) and error is connection.failure and is_passing(error):
                    raise unavailable(error, self._address) from error
                raise
        self._watch.tell()

    async def run(self, work: Callable[[LazyConnection], Answer], connection: LazyConnection) -> Answer:
        """Raises the driver's own errors, but `StoreUnavailable` for those that pass."""
        try:
            return await self._in_thread(lambda: work(connection))
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

    async def _in_thread(self, work: Callable[[], Answer]) -> Answer:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def _lend(self) -> LazyConnection:
        if self._is_closed:
            raise StoreUnavailable(self._address.url, "it is not open")
        connection = self._connection or await self._connect()
        connection.is_lent = True
        return connection

    async def _connect(self) -> LazyConnection:
        try:
            connection = await self._in_thread(lambda: connect(self._address, LazyConnection, durable=True))
        except sqlite3.Error as error:
            raise unavailable(error, self._address) from error
        connection.address = self._address
        connection.patience = self._timeout
        self._connection = connection
        return connection

    def _commit(self, connection: LazyConnection) -> None:
        # Nobody could say that this process lives while it held the lock.
        connection.commit_lent(self._owner.beat)
