"""One connection of our own, opened when it is needed, for one question at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import asyncpg

from eventbus.databases.postgres.address import Address
from eventbus.databases.postgres.database import FAILURES, Connection, connect, explained, let_go

Answer = TypeVar("Answer")


class Lane:
    """What failed on it without an answer of the server leaves it closed: the next question opens it anew."""

    def __init__(
        self,
        address: Address,
        timeout: float,
        *,
        ready: Callable[[Connection], Awaitable[None]] | None = None,
        lost: Callable[[], None] | None = None,
    ) -> None:
        """`ready`: what to do with a fresh connection. `lost`: to be told when one has ended."""
        self._address = address
        self._timeout = timeout
        self._ready = ready
        self._lost = lost
        self._turn = asyncio.Lock()
        self._connection: Connection | None = None
        self._is_closed = False

    @property
    def is_busy(self) -> bool:
        """Whether a question would have to wait for its turn."""
        return self._turn.locked()

    async def ask(self, question: Callable[[Connection], Awaitable[Answer]]) -> Answer:
        """Raises `StoreUnavailable`, in bounded time."""
        try:
            async with asyncio.timeout(self._timeout), self._turn:
                return await self._answer(question)
        except FAILURES as error:
            raise explained(error, self._address) from error

    async def close(self) -> None:
        self._is_closed = True
        connection, self._connection = self._connection, None
        if connection is not None:
            await let_go(connection)

    async def _answer(self, question: Callable[[Connection], Awaitable[Answer]]) -> Answer:
        if self._is_closed:
            raise self._address.unavailable("it is not open")
        connection = self._connection
        if connection is None or connection.is_closed():
            connection = self._connection = await self._connect()
        try:
            return await question(connection)
        except asyncpg.ReadOnlySQLTransactionError:  # a fresh one may lead to the primary
            connection.terminate()
            raise
        except asyncpg.PostgresError:
            raise
        except BaseException:  # it may be in the middle of anything
            connection.terminate()
            raise

    async def _connect(self) -> Connection:
        connection = await connect(self._address, self._timeout)
        try:
            if self._ready is not None:
                await self._ready(connection)
        except BaseException:
            connection.terminate()
            raise
        if (lost := self._lost) is not None:
            connection.add_termination_listener(lambda _: lost())
        return connection
