"""What the warehouse does about events, on the real pipeline."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from eventbus.testing import TestBus
from schemas import (
    Line,
    OrderCompleted,
    OrderCreated,
    PaymentDeclined,
    StockRejected,
    StockReleased,
    StockReserved,
    StockShipped,
)
from schemas.order import MYSTERY_BOX
from services.warehouse.main import service

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


def order(*lines: Line, order_id: int = 1) -> OrderCreated:
    return OrderCreated(order_id=order_id, user_id=789, total=Decimal("9.99"), currency="EUR", lines=lines)


LAMP = Line(sku="desk-lamp", quantity=1)
DECLINED = PaymentDeclined(order_id=1, user_id=789, amount=Decimal("9.99"), currency="EUR", reason="no_funds")


@pytest.fixture
async def bus() -> AsyncIterator[TestBus]:
    async with TestBus(service) as started:
        yield started


async def test_what_is_there_is_reserved(bus: TestBus):
    await bus.publish(order(LAMP))

    assert bus.published(StockReserved) == [StockReserved(order_id=1, lines=(LAMP,))]


async def test_an_order_that_is_published_twice_is_reserved_once(bus: TestBus):
    prints = Line(sku="signed-print", quantity=2)  # there are three

    await bus.publish(order(prints))
    await bus.publish(order(prints))

    assert not bus.published(StockRejected)


async def test_what_is_not_there_is_rejected_by_name(bus: TestBus):
    await bus.publish(order(LAMP, Line(sku="unicorn", quantity=1)))

    assert bus.published(StockRejected) == [StockRejected(order_id=1, user_id=789, missing=("unicorn",))]


async def test_an_order_of_version_1_gets_one_mystery_box(bus: TestBus):
    await bus.publish("order.created", {"order_id": 5, "user_id": 789, "total": "9.99"}, version="1.0")

    (reserved,) = bus.published(StockReserved)
    assert reserved.lines == (Line(sku=MYSTERY_BOX, quantity=1),)


async def test_what_is_not_paid_is_released(bus: TestBus):
    await bus.publish(order(LAMP))
    await bus.publish(DECLINED)

    assert bus.published(StockReleased) == [StockReleased(order_id=1)]


async def test_what_is_not_paid_is_released_too_when_that_is_known_first(bus: TestBus):
    await bus.publish(DECLINED)
    await bus.publish(order(LAMP))
    await bus.advance(timedelta(seconds=5))

    assert bus.published(StockReleased) == [StockReleased(order_id=1)]
    assert not bus.dead_letters


async def test_nothing_is_released_of_an_order_that_was_rejected(bus: TestBus):
    await bus.publish(order(Line(sku="unicorn", quantity=1)))
    await bus.publish(DECLINED)

    assert not bus.published(StockReleased)
    assert not bus.dead_letters


async def test_a_completed_order_is_shipped(bus: TestBus):
    await bus.publish(order(LAMP))
    await bus.publish(OrderCompleted(order_id=1))

    assert bus.published(StockShipped) == [StockShipped(order_id=1)]
