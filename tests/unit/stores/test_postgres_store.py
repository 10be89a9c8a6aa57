"""What only the store on PostgreSQL has; what every store does is in `tests/conformance/store`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import asyncpg
import pytest
import pytest_asyncio
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine

from eventbus.clock import SystemClock
from eventbus.errors import ConfigurationError
from eventbus.event_store import Appended, Appending, Conflict
from eventbus.store import Claim, InboxKey, StoreUnavailable, WrongTransaction
from eventbus.stores.entries import NO_OUTBOX
from eventbus.stores.looking import backlogs_at
from eventbus.stores.postgres.statements import Statements, migrations
from eventbus.stores.postgres.store import PostgresStore
from eventbus.transport import Message
from tests.support.postgres_server import create_database, drop_database

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from tests.support.postgres_server import PostgresServer

KEY = InboxKey("payment.charge", "evt_1")


def a_message(event_id: str = "evt_1") -> Message:
    return Message(b"{}", "order.created", event_id=event_id)


@pytest.fixture
def store(postgres_store: PostgresStore) -> PostgresStore:
    return postgres_store


@pytest_asyncio.fixture
async def engine(postgres_url: str) -> AsyncGenerator[AsyncEngine]:
    engine = create_async_engine(urlsplit(postgres_url)._replace(scheme="postgresql+asyncpg").geturl())
    yield engine
    await engine.dispose()


async def waiting(store: PostgresStore) -> list[str | None]:
    async with store.outbox.take(100) as taken:
        return [entry.message.event_id for entry in taken.entries]


async def test_a_store_of_the_first_schema_is_migrated_and_keeps_what_it_has(
    connection: asyncpg.Connection, postgres_url: str
) -> None:
    await connection.execute('CREATE SCHEMA "eventbus"')
    await connection.execute(Statements("eventbus").said(migrations()[0]))
    await connection.execute("INSERT INTO eventbus.store (version) VALUES (1)")
    await connection.execute("INSERT INTO eventbus.inbox VALUES ('payment.charge', 'evt_1', '', NULL, 1)")

    store = PostgresStore(postgres_url)
    await store.open()

    assert (await store.inbox.exchange(claim=[KEY])).claims == [Claim.HANDLED]
    assert (await store.logbook.take("replay", "one", "{}"))[0]
    assert await store.streams.version("account-1") == 0
    await store.close()


async def test_a_newer_schema_is_refused(
    store: PostgresStore, connection: asyncpg.Connection, postgres_url: str
) -> None:
    await connection.execute("UPDATE eventbus.store SET version = 99")

    with pytest.raises(ConfigurationError, match="newer eventbus"):
        await PostgresStore(postgres_url).open()


async def test_a_read_only_database_is_refused(connection: asyncpg.Connection, postgres_url: str) -> None:
    database = urlsplit(postgres_url).path[1:]
    await connection.execute(f"ALTER DATABASE {database} SET default_transaction_read_only = on")

    with pytest.raises(ConfigurationError, match="read-only"):
        await PostgresStore(postgres_url).open()


async def test_a_wrong_password_is_refused_and_shown_nowhere(postgres_url: str) -> None:
    parts = urlsplit(postgres_url)
    wrong = postgres_url.replace(str(parts.password), "s3cret")
    store = PostgresStore(wrong)

    with pytest.raises(ConfigurationError) as refused:
        await store.open()

    assert "s3cret" not in f"{refused.value!r} {store.url} {store!r}"


async def test_a_database_that_does_not_exist_is_refused(postgres_url: str) -> None:
    with pytest.raises(ConfigurationError, match="does not exist"):
        await PostgresStore(f"{postgres_url}_not").open()


async def test_a_server_that_is_away_is_unavailable() -> None:
    with pytest.raises(StoreUnavailable):
        await PostgresStore("postgresql://user@127.0.0.1:1/shop").open()


async def test_looking_creates_nothing_and_counts_what_waits(postgres_url: str) -> None:
    assert await backlogs_at(postgres_url, "shop", SystemClock()) == NO_OUTBOX
    store = PostgresStore(postgres_url)
    await store.open()
    await store.outbox.put([a_message()], [None])
    await store.close()

    found = await backlogs_at(postgres_url, "shop", SystemClock())

    assert found.own is not None
    assert found.own.events == 1


async def test_a_connection_of_a_user_s_pool_is_joined(store: PostgresStore, postgres_url: str) -> None:
    async with asyncpg.create_pool(postgres_url, min_size=0) as pool:
        async with pool.acquire() as lent, lent.transaction():
            await store.join(lent).put([a_message()], ["order-1"])
        assert await waiting(store) == ["evt_1"]

        with pytest.raises(WrongTransaction, match="cannot be used"):
            store.join(lent)


async def test_a_closed_connection_is_refused(store: PostgresStore, postgres_url: str) -> None:
    connection = await asyncpg.connect(postgres_url, timeout=30)
    await connection.close(timeout=5)

    with pytest.raises(WrongTransaction, match="closed"):
        store.join(connection)


@pytest.mark.parametrize("has_a_store", [True, False])
async def test_a_connection_to_another_database_is_refused(
    store: PostgresStore, postgres_server: str, has_a_store: bool
) -> None:
    elsewhere = create_database(postgres_server)
    try:
        if has_a_store:
            its_own = PostgresStore(elsewhere)
            await its_own.open()
            await its_own.close()
        connection = await asyncpg.connect(elsewhere, timeout=30)
        async with connection.transaction():
            with pytest.raises(WrongTransaction, match="another database"):
                await store.join(connection).put([a_message()], [None])
            assert await connection.fetchval("SELECT 1") == 1  # its transaction is whole
        await connection.close(timeout=5)
    finally:
        drop_database(postgres_server, elsewhere)


async def test_a_transaction_whose_statement_failed_is_not_taken_for_committed(store: PostgresStore) -> None:
    async def swallow() -> None:
        async with store.transaction() as transaction:
            with pytest.raises(asyncpg.DivisionByZeroError):
                await transaction.fetch("SELECT 1 / 0")

    with pytest.raises(asyncpg.InFailedSQLTransactionError):
        await swallow()


async def test_what_is_published_with_an_async_session_commits_and_vanishes_with_it(
    store: PostgresStore, engine: AsyncEngine
) -> None:
    await store.inbox.exchange(claim=[KEY])
    async with AsyncSession(engine) as session, session.begin():
        joined = store.join(session)
        await joined.put([a_message("kept")], [None])
        assert await joined.complete([KEY]) == frozenset()
    async with AsyncSession(engine) as session:
        await session.execute(text("SELECT 1"))
        await store.join(session).put([a_message("gone")], [None])
        await session.rollback()

    assert await waiting(store) == ["kept"]
    assert (await store.inbox.exchange(claim=[KEY])).claims == [Claim.HANDLED]


def appending(expected: int) -> Appending:
    return Appending("account-1", expected, [a_message()], ["account-1"], ["1.0"])


async def test_a_stream_grows_and_is_read_in_an_async_session(
    store: PostgresStore, engine: AsyncEngine
) -> None:
    async with AsyncSession(engine) as session, session.begin():
        joined = store.streams.join(session)
        assert await joined.append(appending(0)) == Appended(1)
        assert await joined.append(appending(0)) == Conflict(1)
        assert [each.version for each in await joined.read("account-1", after=0, limit=9)] == [1]
        assert await store.streams.version("account-1") == 0

    assert await store.streams.version("account-1") == 1


async def test_an_async_session_in_no_transaction_is_refused(
    store: PostgresStore, engine: AsyncEngine
) -> None:
    async with AsyncSession(engine) as session:
        with pytest.raises(WrongTransaction, match="no transaction"):
            store.join(session)


async def test_a_connection_of_asyncpg_has_to_be_awaited(store: PostgresStore) -> None:
    async with store.transaction() as transaction:
        with pytest.raises(WrongTransaction, match="event loop"):
            store.join(transaction).put_now([a_message()], [None])


async def test_a_relay_that_holds_a_key_leaves_others_to_the_next(
    store: PostgresStore, other: PostgresStore
) -> None:
    keys = [f"order-{number}" for number in range(64)]
    await store.outbox.put([a_message(key) for key in keys], list(keys))

    async with store.outbox.take(10) as first, other.outbox.take(100) as second:
        held, free = ({entry.key for entry in taken.entries} for taken in (first, second))

    assert held
    assert free
    assert not held & free


async def test_a_server_that_crashes_and_returns_is_used_again_and_remembers(
    postgres: PostgresServer,
) -> None:
    store = PostgresStore(postgres.url)
    await store.open()
    await store.inbox.exchange(claim=[KEY])
    await store.inbox.exchange(complete=[KEY])
    assert await waiting(store) == []
    listening = asyncio.create_task(store.outbox.changed(within=30))

    await asyncio.to_thread(postgres.kill)
    await asyncio.wait_for(listening, 10)  # a relay looks for itself
    with pytest.raises(StoreUnavailable):
        await store.inbox.exchange(claim=[KEY])
    with pytest.raises(StoreUnavailable):
        async with store.transaction():
            pass
    await asyncio.to_thread(postgres.start)

    assert (await store.inbox.exchange(claim=[KEY])).claims == [Claim.HANDLED]
    async with store.transaction() as transaction:
        assert await transaction.fetch("SELECT 1 AS one") == [{"one": 1}]
    await store.close()
