"""A handler in a transaction: its statements, its mark and its events become true together, or none does."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from eventbus import Bus, Context, RetryPolicy, Service, Transaction, subscribe
from eventbus.errors import InvalidSubscription
from eventbus.store import WrongTransaction
from eventbus.testing import TestBus
from tests.support.eventually import eventually
from tests.unit.test_handled_once import OrderCreated, OrderPaid, is_done, order, settings


class Books:
    """A payment service with a table of its own, in the file that is the bus's store."""

    def __init__(self, place: Path) -> None:
        self.place = place / "events.db"
        self.fails = False
        with closing(sqlite3.connect(self.place)) as database:
            database.execute("CREATE TABLE charge (order_id INTEGER)")

    def service(self) -> Service:
        @subscribe(OrderCreated, retry=RetryPolicy(first=0.01, jitter=False, max_attempts=3))
        async def charge(event: OrderCreated, transaction: Transaction) -> OrderPaid:
            await transaction.execute("INSERT INTO charge VALUES (?)", event.order_id)
            if self.fails:
                raise RuntimeError("after the insert")
            return OrderPaid(order_id=event.order_id)

        return Service("payment", [charge])

    def rows(self) -> list[int]:
        with closing(sqlite3.connect(self.place)) as database:
            return [number for (number,) in database.execute("SELECT order_id FROM charge ORDER BY 1")]


@pytest.fixture
def books(tmp_path: Path) -> Books:
    return Books(tmp_path)


async def paid(bus: Bus) -> list[int]:
    history = await bus.transport.history(0)  # type: ignore[attr-defined]
    return sorted(
        int(entry.message.body.partition(b'"order_id":')[2].split(b"}")[0])
        for entry in history
        if entry.message.routing_key == "order.paid"
    )


async def test_a_handler_its_mark_and_its_events_become_true_together(tmp_path: Path, books: Books):
    async with Bus(source="test", settings=settings(tmp_path)) as bus, bus.running(books.service()):
        orders = [order(number) for number in range(10)]
        await bus.publish_many([each for each in orders for _ in range(3)])

        await eventually(partial(is_done, bus), within=20)

        async def are_paid() -> bool:
            return await paid(bus) == list(range(10))

        await eventually(are_paid, within=10)

    assert books.rows() == list(range(10))


async def test_to_wait_for_ones_turn_is_no_run(tmp_path: Path):
    """SQLite has one writer: of twenty at a time the last would be late before its turn has come."""
    attempts: list[int] = []

    @subscribe(OrderCreated, concurrency=20, timeout=1.5)
    async def charge(_: OrderCreated, transaction: Transaction, context: Context) -> None:
        await transaction.execute("CREATE TABLE IF NOT EXISTS charge (order_id INTEGER)")
        attempts.append(context.attempt)
        await asyncio.sleep(0.1)

    async with (
        Bus(source="test", settings=settings(tmp_path)) as bus,
        bus.running(Service("payment", [charge])),
    ):
        await bus.publish_many([order(number) for number in range(20)])
        await eventually(lambda: len(attempts) >= 20, within=20)
        await eventually(partial(is_done, bus), within=20)

    assert attempts == [1] * 20


async def test_a_run_in_a_transaction_that_takes_too_long_is_rolled_back(tmp_path: Path, books: Books):
    ended: list[int] = []

    @subscribe(OrderCreated, timeout=0.3, retry=RetryPolicy(first=0.01, jitter=False, max_attempts=9))
    async def charge(event: OrderCreated, transaction: Transaction, context: Context) -> None:
        await transaction.execute("INSERT INTO charge VALUES (?)", event.order_id)
        if context.attempt == 1:
            await asyncio.Event().wait()
        ended.append(context.attempt)

    async with (
        Bus(source="test", settings=settings(tmp_path)) as bus,
        bus.running(Service("payment", [charge])),
    ):
        await bus.publish(order(7))
        await eventually(lambda: books.rows() == [7], within=20)

    assert ended
    assert books.rows() == [7]


async def test_a_plain_handler_writes_through_the_connection(tmp_path: Path, books: Books):
    @subscribe(OrderCreated)
    def charge(event: OrderCreated, transaction: Transaction) -> OrderPaid:
        transaction.connection.execute("INSERT INTO charge VALUES (?)", (event.order_id,))
        return OrderPaid(order_id=event.order_id)

    async with (
        Bus(source="test", settings=settings(tmp_path)) as bus,
        bus.running(Service("payment", [charge])),
    ):
        await bus.publish(order(7))
        await eventually(lambda: books.rows() == [7], within=20)


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited")
async def test_a_plain_handler_that_cannot_await_its_statement_fails(tmp_path: Path, books: Books):
    @subscribe(OrderCreated, retry=RetryPolicy(max_attempts=1))
    def charge(event: OrderCreated, transaction: Transaction) -> None:
        transaction.connection.execute("INSERT INTO charge VALUES (1)")
        transaction.execute("INSERT INTO charge VALUES (2)")  # type: ignore[unused-coroutine]

    async with (
        Bus(source="test", settings=settings(tmp_path)) as bus,
        bus.running(Service("payment", [charge])),
    ):
        await bus.publish(order(7))

        async def died() -> bool:
            dead = await bus.transport.dead_letters("payment.charge", limit=9)
            return ["never awaited" in each.error for each in dead] == [True]

        await eventually(died, within=20)

    assert books.rows() == []


async def test_a_plain_handler_that_is_late_writes_nothing_in_the_next_ones_transaction(
    tmp_path: Path, books: Books
):
    goes_on, refused = threading.Event(), threading.Event()

    @subscribe(OrderCreated, concurrency=2, timeout=1.5, retry=RetryPolicy(max_attempts=1))
    def charge(event: OrderCreated, transaction: Transaction) -> None:
        connection = transaction.connection
        if event.order_id == 1:
            goes_on.wait(10)
            try:
                connection.execute("INSERT INTO charge VALUES (1)")
            except WrongTransaction:
                refused.set()
            return
        goes_on.set()
        assert refused.wait(1.4)
        connection.execute("INSERT INTO charge VALUES (2)")

    async with (
        Bus(source="test", settings=settings(tmp_path)) as bus,
        bus.running(Service("payment", [charge])),
    ):
        await bus.publish_many([order(1), order(2)])
        await eventually(partial(is_done, bus), within=20)

    assert books.rows() == [2]


async def test_of_a_handler_that_fails_nothing_stays(tmp_path: Path, books: Books):
    books.fails = True
    async with Bus(source="test", settings=settings(tmp_path)) as bus, bus.running(books.service()):
        same = order()
        await bus.publish(same)

        async def has_died() -> bool:
            return len(await bus.transport.dead_letters("payment.charge", limit=9)) == 1

        await eventually(has_died, within=10)
        assert books.rows() == []
        assert await paid(bus) == []

        books.fails = False
        await bus.publish(same)
        await eventually(lambda: books.rows() == [1], within=10)


async def test_the_test_bus_sees_what_a_transaction_has_published():
    @subscribe(OrderCreated)
    async def charge(event: OrderCreated, transaction: Transaction) -> OrderPaid:
        await transaction.execute("CREATE TABLE IF NOT EXISTS charge (order_id INTEGER)")
        await transaction.execute("INSERT INTO charge VALUES (?)", event.order_id)
        rows = await transaction.fetch("SELECT count(*) AS charges FROM charge")
        return OrderPaid(order_id=rows[0]["charges"])

    seen: list[int] = []

    @subscribe(OrderPaid)
    async def see(event: OrderPaid) -> None:
        seen.append(event.order_id)

    async with TestBus(Service("payment", [charge]), Service("email", [see])) as bus:
        await bus.publish(OrderCreated(order_id=1))
        assert seen == [1]
        await bus.publish(OrderCreated(order_id=2))
        assert seen == [1, 2]
        assert [event.order_id for event in bus.published(OrderPaid)] == [1, 2]


async def test_a_store_without_transactions_is_told_before_anything_is_handled(tmp_path: Path):
    books = Books(tmp_path)
    async with Bus(source="test", settings=settings(tmp_path, store="memory://")) as bus:
        with pytest.raises(InvalidSubscription, match=r"payment.charge.*transaction.*memory://"):
            await bus.start(books.service())
