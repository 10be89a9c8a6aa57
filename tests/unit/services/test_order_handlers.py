"""What the order service does about events, on the real pipeline."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from eventbus.testing import TestBus
from schemas import (
    EmailSent,
    Mail,
    OrderCancelled,
    OrderCompleted,
    PaymentCaptured,
    PaymentDeclined,
    PaymentVoided,
    StockRejected,
    StockReleased,
    StockReserved,
)
from services.order.books import Books
from services.order.database import Database
from services.order.main import service
from services.order.order import OrderRequest
from services.order.orders import Orders
from services.order.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from services.order.progress import News


@pytest.fixture
async def database() -> AsyncIterator[Database]:
    """The same file as the handlers'."""
    async with Database.open(Settings.from_environment().database) as opened:
        yield opened


@pytest.fixture
async def order_id(database: Database) -> int:
    return (await Orders(database).insert(OrderRequest(user_id=7, total=Decimal("99.99")))).order_id


@pytest.fixture
async def bus() -> AsyncIterator[TestBus]:
    async with TestBus(service) as started:
        yield started


def captured(order_id: int) -> PaymentCaptured:
    return PaymentCaptured(order_id=order_id, charge_id="ch_1", amount=Decimal("99.99"), currency="EUR")


def declined(order_id: int) -> PaymentDeclined:
    return PaymentDeclined(
        order_id=order_id, user_id=7, amount=Decimal("99.99"), currency="EUR", reason="no_funds"
    )


def voided(order_id: int) -> PaymentVoided:
    return PaymentVoided(order_id=order_id, charge_id="ch_1", amount=Decimal("99.99"), currency="EUR")


def sent(order_id: int, mail: Mail) -> EmailSent:
    return EmailSent(order_id=order_id, user_id=7, mail=mail, message_id="<1@shop.example>")


def completing(order_id: int) -> list[News]:
    return [
        captured(order_id),
        StockReserved(order_id=order_id, lines=()),
        sent(order_id, Mail.CONFIRMATION),
    ]


async def test_an_order_that_is_paid_reserved_and_confirmed_is_completed(bus: TestBus, order_id: int):
    for event in completing(order_id):
        assert not bus.published(OrderCompleted)
        await bus.publish(event)

    assert bus.published(OrderCompleted) == [OrderCompleted(order_id=order_id)]


async def test_an_order_is_completed_once_though_its_events_come_again(bus: TestBus, order_id: int):
    for event in [*completing(order_id), *completing(order_id)]:
        await bus.publish(event)

    assert len(bus.published(OrderCompleted)) == 1


async def test_a_completed_order_gets_its_invoice_and_counts_as_a_sale(
    bus: TestBus, order_id: int, database: Database
):
    for event in completing(order_id):
        await bus.publish(event)

    assert await Books(database).invoice(order_id) is not None
    assert (await Orders(database).summary()).revenue == {"EUR": Decimal("99.99")}


async def test_a_declined_order_is_cancelled_when_its_stock_is_free_and_the_user_knows(
    bus: TestBus, order_id: int
):
    await bus.publish(declined(order_id))
    await bus.publish(StockReleased(order_id=order_id))
    assert not bus.published(OrderCancelled)
    await bus.publish(sent(order_id, Mail.PAYMENT_DECLINED))

    assert bus.published(OrderCancelled) == [OrderCancelled(order_id=order_id, reason="declined")]


async def test_an_order_out_of_stock_is_cancelled_when_its_money_is_back_and_the_user_knows(
    bus: TestBus, order_id: int
):
    await bus.publish(StockRejected(order_id=order_id, user_id=7, missing=("unicorn",)))
    await bus.publish(sent(order_id, Mail.OUT_OF_STOCK))
    assert not bus.published(OrderCancelled)
    await bus.publish(voided(order_id))

    assert bus.published(OrderCancelled) == [OrderCancelled(order_id=order_id, reason="out_of_stock")]


async def test_a_cancelled_order_keeps_no_invoice_and_is_no_sale(
    bus: TestBus, order_id: int, database: Database
):
    books, orders = Books(database), Orders(database)
    order = await orders.get(order_id)
    assert order is not None
    await books.keep_invoice(order_id, b"%PDF")  # as mode=sync does before anything is known
    await books.count_sale(order)

    await bus.publish(OrderCancelled(order_id=order_id, reason="declined"))

    assert await books.invoice(order_id) is None
    assert (await orders.summary()).revenue == {}


async def test_what_the_warehouse_lacks_is_remembered(bus: TestBus, order_id: int, database: Database):
    await bus.publish(StockRejected(order_id=order_id, user_id=7, missing=("unicorn",)))

    assert await Books(database).sold_out(["unicorn"]) == ["unicorn"]


async def test_orders_of_other_publishers_are_passed_over(bus: TestBus):
    for event in completing(12345):
        await bus.publish(event)

    assert not bus.published(OrderCompleted)
    assert not bus.dead_letters
