"""The transactions of a store on PostgreSQL, as a handler uses them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import asyncpg
import pytest
import pytest_asyncio

from eventbus.store import WrongTransaction
from eventbus.stores.postgres.store import PostgresStore

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator


@pytest_asyncio.fixture
async def store(postgres_url: str) -> AsyncGenerator[PostgresStore]:
    store = PostgresStore(postgres_url)
    await store.open()
    yield store
    await store.close()


async def test_a_statement_that_is_wrong_is_no_store_that_is_away(store: PostgresStore) -> None:
    async with store.transaction() as transaction:
        with pytest.raises(asyncpg.InterfaceError, match="arguments"):
            await transaction.execute("SELECT 1", 2)
        assert await transaction.fetch("SELECT 1 AS one") == [{"one": 1}]


async def test_a_thread_is_told_that_the_connection_needs_the_event_loop(store: PostgresStore) -> None:
    async with store.transaction() as transaction:
        with pytest.raises(WrongTransaction, match="needs the event loop"):
            await asyncio.to_thread(lambda: transaction.connection)
