"""An event that is published in a transaction leaves with it, and not otherwise."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from eventbus.codec import Codec
from eventbus.errors import ConfigurationError, InvalidEvent
from eventbus.publisher import Publisher
from eventbus.registry import Registry
from eventbus.store import Outbox, OutboxEntry, Store, WrongTransaction
from eventbus.stores.opening import store_for
from eventbus.testing import VirtualClock
from tests.support.handling import NOON, a_publisher, by_name
from tests.support.scripted import ScriptedTransport


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = store_for(f"sqlite:///{tmp_path}/shop.db")
    await store.open()
    yield store
    await store.close()


@pytest.fixture
def transport() -> ScriptedTransport:
    return ScriptedTransport()


@pytest.fixture
def publisher(store: Store, transport: ScriptedTransport) -> Publisher:
    return Publisher(
        transport.as_transport(),
        source="shop",
        codec=Codec(),
        registry=Registry(),
        clock=VirtualClock(NOON),
        timeout=10.0,
        store=store,
    )


async def waiting(store: Store) -> list[OutboxEntry]:
    outbox: Outbox | None = store.outbox
    assert outbox is not None
    async with outbox.take(100) as taken:
        return list(taken.entries)


async def test_it_waits_in_the_outbox_when_the_transaction_has_committed(
    publisher: Publisher, store: Store, transport: ScriptedTransport
):
    async with store.transaction() as transaction:
        receipt = await publisher.publish("order.created", {}, key="order-1", transaction=transaction)
    (entry,) = await waiting(store)
    assert receipt.state == "spooled"
    assert (entry.message.event_id, entry.key) == (receipt.event_id, "order-1")
    assert transport.sent == []


async def test_it_vanishes_with_a_transaction_that_is_rolled_back(publisher: Publisher, store: Store):
    async def fail() -> None:
        async with store.transaction() as transaction:
            await publisher.publish("order.created", {}, transaction=transaction)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert await waiting(store) == []


async def test_several_events_keep_their_order_and_a_delay_is_kept(publisher: Publisher, store: Store):
    envelopes = [by_name("order.created", {}, event_id=each) for each in ("1", "2", "3")]
    async with store.transaction() as transaction:
        receipts = await publisher.publish_many(envelopes, transaction=transaction, delay=60)
    entries = await waiting(store)
    assert [each.state for each in receipts] == ["scheduled"] * 3
    assert [each.message.event_id for each in entries] == ["1", "2", "3"]
    assert all(0 < each.message.delay <= 61 for each in entries)


async def test_a_thread_without_an_event_loop_enqueues_in_its_own_connection(
    publisher: Publisher, store: Store, tmp_path: Path
):
    def work() -> str:
        with closing(sqlite3.connect(tmp_path / "shop.db")) as connection, connection:
            connection.execute("CREATE TABLE invoice (number INTEGER)")
            connection.execute("INSERT INTO invoice VALUES (1)")
            return publisher.enqueue("order.created", {}, transaction=connection).event_id

    event_id = await asyncio.to_thread(work)
    assert [each.message.event_id for each in await waiting(store)] == [event_id]


async def test_a_thread_enqueues_in_a_session_of_sqlalchemy(
    publisher: Publisher, store: Store, tmp_path: Path
):
    def work() -> str:
        engine = create_engine(f"sqlite:///{tmp_path}/shop.db")
        with Session(engine) as session, session.begin():
            receipt = publisher.enqueue("order.created", {}, key="order-1", transaction=session)
        engine.dispose()
        return receipt.event_id

    event_id = await asyncio.to_thread(work)
    assert [(each.message.event_id, each.key) for each in await waiting(store)] == [(event_id, "order-1")]


async def test_many_threads_enqueue_at_once(publisher: Publisher, store: Store, tmp_path: Path):
    def work(worker: int) -> None:
        for number in range(20):
            with closing(sqlite3.connect(tmp_path / "shop.db", timeout=30)) as connection, connection:
                connection.execute("BEGIN IMMEDIATE")
                publisher.enqueue("order.created", {"n": number}, key=f"k{worker}", transaction=connection)

    await asyncio.gather(*(asyncio.to_thread(work, worker) for worker in range(4)))
    entries = await waiting(store)
    assert len({each.message.event_id for each in entries}) == 80
    for worker in range(4):
        numbers = [Codec().decode(each.message).data["n"] for each in entries if each.key == f"k{worker}"]
        assert numbers == list(range(20))


async def test_a_connection_to_another_database_is_refused_before_anything_is_written(
    publisher: Publisher, store: Store, tmp_path: Path
):
    with closing(sqlite3.connect(tmp_path / "other.db")) as other, pytest.raises(WrongTransaction):
        await publisher.publish("order.created", {}, transaction=other)
    assert await waiting(store) == []


async def test_no_transaction_given_as_one_is_refused(publisher: Publisher, transport: ScriptedTransport):
    with pytest.raises(WrongTransaction):
        await publisher.publish("order.created", {}, transaction=None)
    assert transport.sent == []


async def test_without_a_store_the_error_says_what_is_missing(transport: ScriptedTransport):
    with pytest.raises(ConfigurationError, match="EVENTBUS_STORE"):
        await a_publisher(transport).publish("order.created", {}, transaction=object())


def test_enqueueing_without_a_transaction_is_refused(transport: ScriptedTransport):
    with pytest.raises(InvalidEvent, match="transaction is missing"):
        a_publisher(transport).enqueue("order.created", {})


def test_a_handler_may_not_name_another_transaction_than_its_own(transport: ScriptedTransport):
    with pytest.raises(InvalidEvent, match="transaction is not for a handler"):
        a_publisher(transport).prepare("order.created", {}, {"transaction": object()})
