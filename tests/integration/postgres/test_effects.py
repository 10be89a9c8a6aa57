"""With the store on PostgreSQL, an effect of a handler and its events are there exactly once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import asyncpg
import pytest_asyncio
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

from eventbus import Event, InTransaction, RetryPolicy, Service, Transaction, subscribe
from eventbus.outcome import Reason
from eventbus.settings import Settings
from eventbus.testing import TestBus

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator


class OrderCreated(Event, type="order.created", version="1.0"):
    order_id: int


class OrderPaid(Event, type="order.paid", version="1.0"):
    order_id: int


@pytest_asyncio.fixture
async def user(postgres_url: str) -> AsyncGenerator[asyncpg.Connection]:
    """A connection of the user's, to a database with a table of the user's."""
    connection = await asyncpg.connect(postgres_url, timeout=30)
    await connection.execute("CREATE TABLE charge (order_id integer)")
    yield connection
    await connection.close(timeout=5)


async def test_a_handler_in_a_transaction_charges_once_and_its_event_leaves_once(
    postgres_url: str, user: asyncpg.Connection
) -> None:
    runs: list[int] = []

    @subscribe(OrderCreated, retry=RetryPolicy(max_attempts=3))
    async def charge(event: OrderCreated, transaction: Transaction) -> OrderPaid:
        runs.append(event.order_id)
        await transaction.execute("INSERT INTO charge VALUES ($1)", event.order_id)
        if len(runs) == 1:
            raise ConnectionError("the gateway is away")
        return OrderPaid(order_id=event.order_id)

    settings = Settings(store=postgres_url)
    async with TestBus(Service("payment", [charge]), settings=settings) as bus:
        await bus.publish(OrderCreated(order_id=7), event_id="evt_7")
        await bus.publish(OrderCreated(order_id=7), event_id="evt_7")

        assert len(bus.published(OrderPaid)) == 1
    assert len(runs) == 2
    assert await user.fetchval("SELECT count(*) FROM charge") == 1


async def test_a_handler_with_a_session_of_sqlalchemy_charges_once_and_its_event_leaves_once(
    postgres_url: str, user: asyncpg.Connection
) -> None:
    engine = create_async_engine(urlsplit(postgres_url)._replace(scheme="postgresql+asyncpg").geturl())
    sessions = async_sessionmaker(engine)

    async def charge(
        event: OrderCreated, session: Annotated[AsyncSession, InTransaction(sessions)]
    ) -> OrderPaid:
        await session.execute(text("INSERT INTO charge VALUES (:id)"), {"id": event.order_id})
        return OrderPaid(order_id=event.order_id)

    # `sessions` is no name of this module, where an annotation in quotes is looked up.
    charge.__annotations__["session"] = Annotated[AsyncSession, InTransaction(sessions)]
    service = Service("payment", [subscribe(OrderCreated)(charge)])
    async with TestBus(service, settings=Settings(store=postgres_url)) as bus:
        await bus.publish(OrderCreated(order_id=7), event_id="evt_7")
        await bus.publish(OrderCreated(order_id=7), event_id="evt_7")

        assert len(bus.published(OrderPaid)) == 1
    await engine.dispose()
    assert await user.fetchval("SELECT count(*) FROM charge") == 1


async def test_a_statement_that_never_ends_in_time_uses_up_the_attempts_of_its_event(
    postgres_url: str,
) -> None:
    runs: list[int] = []

    @subscribe(OrderCreated, retry=RetryPolicy(max_attempts=2))
    async def charge(event: OrderCreated, transaction: Transaction) -> None:
        runs.append(event.order_id)
        await transaction.execute("SET LOCAL statement_timeout = '20ms'")
        await transaction.execute("SELECT pg_sleep(60)")

    settings = Settings(store=postgres_url)
    async with asyncio.timeout(30), TestBus(Service("payment", [charge]), settings=settings) as bus:
        await bus.publish(OrderCreated(order_id=7))
        await bus.advance(600)

        (dead,) = bus.dead_letters
    assert dead.reason == Reason.EXHAUSTED
    assert "statement timeout" in dead.error
    assert runs == [7] * 4
