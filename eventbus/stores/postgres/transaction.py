"""Transactions that a handler's own statements are part of; several at once, out of a pool."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, TypeVar

import asyncpg
from asyncpg.pool import PoolConnectionProxy
from asyncpg.transaction import Transaction

from eventbus.databases.postgres.address import Address
from eventbus.databases.postgres.database import FAILURES, PASSING, QUIET_PEERS, Connection, explained
from eventbus.store import StoreUnavailable, WrongTransaction
from eventbus.stores.awaited import Awaited
from eventbus.stores.postgres.inbox import changed_rows
from eventbus.waiting import to_its_end

Answer = TypeVar("Answer")

_AT_ONCE: Final = 10
"""Transactions; more of them wait for their turn."""


class PostgresTransaction:
    def __init__(self, connection: PoolConnectionProxy[asyncpg.Record], address: Address) -> None:
        self._connection = connection
        self._address = address
        self._awaited = Awaited()
        self.has_ended = False

    @property
    def connection(self) -> PoolConnectionProxy[asyncpg.Record]:
        if self.has_ended:
            raise WrongTransaction("it has ended", "Use it inside of the handler only.")
        if not _in_a_loop():
            raise WrongTransaction(
                "a connection of asyncpg needs the event loop, and a plain handler runs in a thread",
                "Write the handler as `async def`.",
            )
        if _is_lost(self._connection):
            raise self._address.unavailable("the connection of this transaction is lost")
        return self._connection

    def execute(self, statement: str, *parameters: object) -> Coroutine[Any, Any, int]:
        return self._awaited.made("execute", lambda: self._execute(statement, parameters))

    def fetch(self, statement: str, *parameters: object) -> Coroutine[Any, Any, Sequence[Mapping[str, Any]]]:
        return self._awaited.made("fetch", lambda: self._fetch(statement, parameters))

    def check(self) -> None:
        """Raises `WrongTransaction` where a statement is missing."""
        self._awaited.check()

    async def _execute(self, statement: str, parameters: Sequence[object]) -> int:
        return changed_rows(await self._said(self.connection.execute(statement, *parameters)))

    async def _fetch(self, statement: str, parameters: Sequence[object]) -> Sequence[Mapping[str, Any]]:
        rows = await self._said(self.connection.fetch(statement, *parameters))
        return [dict(row.items()) for row in rows]

    async def _said(self, answer: Awaitable[Answer]) -> Answer:
        """Raises the driver's own errors, but `StoreUnavailable` for those that pass."""
        try:
            return await answer
        except PASSING as error:
            if isinstance(error, asyncpg.InterfaceError) and not _is_lost(self._connection):
                raise  # of the handler's own: two statements at once, or too few parameters
            raise explained(error, self._address) from error


class Transactions:
    def __init__(self, address: Address, timeout: float) -> None:
        self._address = address
        self._timeout = timeout
        self._opening = asyncio.Lock()
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None
        self._is_closed = False

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[PostgresTransaction]:
        pool = await self._opened()
        connection = await self._bounded(pool.acquire(timeout=self._timeout))
        try:
            begun = await self._begun(connection)
            async with self._within(connection, begun) as transaction:
                yield transaction
        finally:
            await self._give_back(pool, connection)

    async def close(self) -> None:
        self._is_closed = True
        pool, self._pool = self._pool, None
        if pool is not None:
            with suppress(Exception):  # the pool has cut them then
                async with asyncio.timeout(1.0):
                    await pool.close()

    async def _begun(self, connection: PoolConnectionProxy[asyncpg.Record]) -> Transaction:
        begun = connection.transaction()
        try:
            await self._bounded(begun.start())
        except BaseException:
            _terminate(connection)  # it may have begun all the same
            raise
        return begun

    @asynccontextmanager
    async def _within(
        self, connection: PoolConnectionProxy[asyncpg.Record], begun: Transaction
    ) -> AsyncGenerator[PostgresTransaction]:
        transaction = PostgresTransaction(connection, self._address)
        try:
            yield transaction
            transaction.has_ended = True
            transaction.check()
            await to_its_end(self._commit(connection, begun))  # nobody should have to guess
        except BaseException as error:
            transaction.has_ended = True
            if _is_read_only(error):
                _terminate(connection)  # another one may lead to the primary
            if not _is_lost(connection) and connection.is_in_transaction():
                await to_its_end(self._roll_back(connection, begun))
            if _is_lost(connection) and isinstance(error, PASSING):  # the server went away or fell silent
                raise explained(error, self._address) from error  # also where the handler was told so first
            raise

    async def _commit(self, connection: PoolConnectionProxy[asyncpg.Record], begun: Transaction) -> None:
        if not connection.is_in_transaction():
            raise WrongTransaction(
                "the handler has committed it, or rolled it back",
                "Leave that to the bus: return to commit, raise to roll back.",
            )
        try:
            # COMMIT would roll a failed one back, and say nothing.
            await connection.execute("SELECT")
            await begun.commit()
        except PASSING as error:
            _terminate(connection)
            raise explained(error, self._address) from error

    async def _roll_back(self, connection: PoolConnectionProxy[asyncpg.Record], begun: Transaction) -> None:
        try:
            await begun.rollback()
        except FAILURES:
            _terminate(connection)  # and the server rolls it back

    async def _opened(self) -> asyncpg.Pool[asyncpg.Record]:
        async with self._opening:
            if self._is_closed:
                raise StoreUnavailable(self._address.url, "it is not open")
            if self._pool is None:
                self._pool = await asyncpg.create_pool(
                    self._address.dsn,
                    min_size=0,
                    max_size=_AT_ONCE,
                    timeout=self._timeout,
                    command_timeout=self._timeout,
                    init=_make_ready,
                    reset=_reset,
                )
            return self._pool

    async def _bounded(self, answer: Awaitable[Answer]) -> Answer:
        try:
            async with asyncio.timeout(self._timeout):
                return await answer
        except FAILURES as error:
            raise explained(error, self._address) from error

    async def _give_back(
        self, pool: asyncpg.Pool[asyncpg.Record], connection: PoolConnectionProxy[asyncpg.Record]
    ) -> None:
        """What cannot be reset at once is closed by the pool."""
        try:
            await pool.release(connection, timeout=1.0)
        except FAILURES:
            return


def _is_lost(connection: PoolConnectionProxy[asyncpg.Record]) -> bool:
    """A pool takes a connection back at once when it breaks, also while nobody uses it."""
    try:
        return connection.is_closed()
    except asyncpg.InterfaceError:
        return True


def _is_read_only(error: BaseException) -> bool:
    """Told by the driver, or by a store that has explained it."""
    return any(isinstance(each, asyncpg.ReadOnlySQLTransactionError) for each in (error, error.__cause__))


def _terminate(connection: PoolConnectionProxy[asyncpg.Record]) -> None:
    with suppress(asyncpg.InterfaceError):  # it is lost, and the pool has it back
        connection.terminate()


def _in_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


async def _make_ready(connection: Connection) -> None:
    await connection.execute(QUIET_PEERS)


async def _reset(connection: Connection) -> None:
    await connection.execute(f"{connection.get_reset_query()};{QUIET_PEERS}")
