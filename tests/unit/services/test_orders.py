"""The order service's database."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from schemas import EmailSent, Line, Mail, PaymentCaptured, StockReserved, StockShipped
from services.order.books import Books
from services.order.database import Database
from services.order.order import Order, OrderRequest
from services.order.orders import Orders
from services.order.progress import Payment, Status, Stock

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import AsyncIterator
    from pathlib import Path

REQUEST = OrderRequest(user_id=7, total=Decimal("99.90"))


def tell_nobody(_: sqlite3.Connection, __: Order) -> None:
    """The order is released all the same."""


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with Database.open(str(tmp_path / "orders.db")) as opened:
        yield opened


@pytest.fixture
def orders(database: Database) -> Orders:
    return Orders(database)


async def complete(orders: Orders, order: Order) -> list[Order | None]:
    """What each of the three events gives that complete an order: its event id is its position."""
    news = (
        PaymentCaptured(order_id=order.order_id, charge_id="ch_1", amount=order.total, currency="EUR"),
        StockReserved(order_id=order.order_id, lines=order.lines),
        EmailSent(order_id=order.order_id, user_id=7, mail=Mail.CONFIRMATION, message_id="<1@x>"),
    )
    return [await orders.follow(order.order_id, each, f"evt_{n}") for n, each in enumerate(news, 1)]


async def test_an_order_is_kept_as_it_was_asked_for(orders: Orders):
    lines = (Line(sku="desk-lamp", quantity=2), Line(sku="notebook", quantity=1))

    order = await orders.insert(OrderRequest(user_id=7, total=Decimal("99.90"), lines=lines))

    assert await orders.get(order.order_id) == order
    assert (order.total, order.lines, order.status) == (Decimal("99.90"), lines, Status.PROCESSING)


async def test_the_event_of_an_order_carries_all_of_it(orders: Orders):
    order = await orders.insert(REQUEST)
    await orders.charged(order.order_id, "ch_1")

    event = (await orders.confirmed(order.order_id, "<1@x>")).created()

    assert (event.order_id, event.total, event.currency) == (order.order_id, Decimal("99.90"), "EUR")
    assert (event.charge_id, event.confirmation_id) == ("ch_1", "<1@x>")


async def test_a_new_database_does_not_use_order_ids_again(tmp_path: Path):
    ids: list[int] = []
    for name in ("one.db", "two.db"):
        async with Database.open(str(tmp_path / name)) as database:
            ids += [(await Orders(database).insert(REQUEST)).order_id for _ in range(2)]

    assert ids[1] == ids[0] + 1
    assert ids[2] >= ids[0]
    assert ids[0] > 1_000_000


async def test_only_the_event_that_ends_an_order_gives_it_and_gives_it_again(orders: Orders):
    order = await orders.insert(REQUEST)

    first, second, last = await complete(orders, order)
    again = await complete(orders, order)

    assert (first, second) == (None, None)
    assert last is not None
    assert last.status is Status.COMPLETED
    assert again == [None, None, last]


async def test_news_after_the_end_are_noted_and_end_nothing(orders: Orders):
    order = await orders.insert(REQUEST)
    await complete(orders, order)

    ended = await orders.follow(order.order_id, StockShipped(order_id=order.order_id), "evt_9")

    shipped = await orders.get(order.order_id)
    assert ended is None
    assert shipped is not None
    assert (shipped.progress.stock, shipped.status) == (Stock.SHIPPED, Status.COMPLETED)


async def test_an_order_of_somebody_else_is_passed_over(orders: Orders):
    assert await orders.follow(12345, StockShipped(order_id=12345), "evt_1") is None
    assert await orders.get(12345) is None


async def test_what_was_released_is_not_left_behind(orders: Orders):
    released, forgotten = [await orders.insert(REQUEST) for _ in range(2)]
    await orders.release(released.order_id, tell_nobody)

    assert await orders.left_behind(0) == [forgotten]
    assert await orders.left_behind(60) == []


async def test_an_order_is_told_of_once_however_often_it_is_released(orders: Orders):
    told: list[Order] = []

    order = await orders.insert_and_release(REQUEST, lambda _, order: told.append(order))
    again = await orders.release(order.order_id, lambda _, order: told.append(order))

    assert told == [order] == [again]


async def test_what_could_not_be_told_is_still_held(orders: Orders):
    def fail(_: sqlite3.Connection, __: Order) -> None:
        raise ValueError("the disk is full")

    order = await orders.insert(REQUEST)
    with pytest.raises(ValueError, match="the disk is full"):
        await orders.release(order.order_id, fail)

    assert await orders.left_behind(0) == [order]


async def test_an_order_that_was_refused_in_line_is_not_left_behind_either(orders: Orders):
    order = await orders.insert(REQUEST)

    refused = await orders.refused(order.order_id)

    assert refused.status is Status.DECLINED
    assert await orders.left_behind(0) == []


async def test_the_summary_counts_orders_by_state(orders: Orders, database: Database):
    done, open_ = [await orders.insert(REQUEST) for _ in range(2)]
    await complete(orders, done)
    await orders.charged(open_.order_id, "ch_2")
    await Books(database).count_sale(done)
    await Books(database).keep_invoice(done.order_id, b"%PDF")

    summary = await orders.summary()

    assert summary.orders == 2
    assert summary.status == {Status.COMPLETED: 1, Status.PROCESSING: 1}
    assert summary.payment == {Payment.CAPTURED: 2}
    assert summary.stock == {Stock.RESERVED: 1, Stock.PENDING: 1}
    assert summary.mails == {Mail.CONFIRMATION: 1}
    assert (summary.invoices, summary.revenue) == (1, {"EUR": Decimal("99.90")})


async def test_a_sale_counts_once_and_can_be_struck_out(orders: Orders, database: Database):
    order, books = await orders.insert(REQUEST), Books(database)
    for _ in range(2):
        await books.count_sale(order)
        await books.keep_invoice(order.order_id, b"%PDF")
    assert (await orders.summary()).revenue == {"EUR": Decimal("99.90")}

    await books.strike(order.order_id)

    assert await books.invoice(order.order_id) is None
    assert (await orders.summary()).revenue == {}


async def test_what_the_warehouse_lacked_counts_as_sold_out(database: Database):
    books = Books(database)
    await books.note_sold_out(["unicorn"])

    assert await books.sold_out(["notebook", "unicorn"]) == ["unicorn"]
