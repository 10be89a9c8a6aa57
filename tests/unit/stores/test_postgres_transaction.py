"""The transactions of a store on PostgreSQL, as a handler uses them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import asyncpg
import pytest

from eventbus.store import WrongTransaction

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
