"""The transactions of a store on PostgreSQL, as a handler uses them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import asyncpg
import pytest
from asyncpg.transaction import Transaction

from eventbus.databases.postgres.address import Address
from eventbus.databases.postgres.database import connected
from eventbus.store import StoreUnavailable, WrongTransaction
from eventbus.stores.postgres.transaction import Transactions

if TYPE_CHECKING:
    from eventbus.stores.postgres.store import PostgresStore


async def test_a_statement_that_is_wrong_is_no_store_that_is_away(postgres_store: PostgresStore) -> None:
    async with postgres_store.transaction() as transaction:
        with pytest.raises(asyncpg.InterfaceError, match="arguments"):
            await transaction.execute("SELECT 1", 2)
        assert await transaction.fetch("SELECT 1 AS one") == [{"one": 1}]


async def test_a_thread_is_told_that_the_connection_needs_the_event_loop(
    postgres_store: PostgresStore,
) -> None:
    async with postgres_store.transaction() as transaction:
        with pytest.raises(WrongTransaction, match="needs the event loop"):
            await asyncio.to_thread(lambda: transaction.connection)


async def test_a_connection_on_which_nobody_knows_whether_a_transaction_began_is_not_used_again(
    postgres_store: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def backend() -> int:
        async with postgres_store.transaction() as transaction:
            (row,) = await transaction.fetch("SELECT pg_backend_pid() AS pid")
        return int(row["pid"])

    before = await backend()
    start = Transaction.start

    async def unanswered(self: Transaction) -> None:
        await start(self)
        raise TimeoutError

    monkeypatch.setattr(Transaction, "start", unanswered)
    with pytest.raises(StoreUnavailable):
        await backend()
    monkeypatch.undo()

    assert await backend() != before


@pytest.mark.parametrize("of", ["a connection", "the pool of a store"])
async def test_who_is_cancelled_while_connections_are_closed_is_so(
    of: str, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, closing = Address.of(postgres_url), asyncio.Event()
    close = asyncpg.Connection.close
    connections: list[asyncpg.Connection] = []

    async def told(connection: asyncpg.Connection, *, timeout: float | None = None) -> None:
        connections.append(connection)
        closing.set()
        await close(connection, timeout=timeout)

    async def use() -> None:
        if of == "a connection":
            async with connected(address, 10):
                pass
        else:
            transactions = Transactions(address, 10)
            async with transactions.transaction():
                pass
            await transactions.close()

    monkeypatch.setattr(asyncpg.Connection, "close", told)
    using = asyncio.create_task(use())
    await closing.wait()
    using.cancel()
    with pytest.raises(asyncio.CancelledError):
        await using
    assert [connection.is_closed() for connection in connections] == [True]
