"""What the payment service does about events: the real pipeline and gateway, a clock that the test moves."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from eventbus.testing import TestBus
from schemas import Line, OrderCreated, PaymentCaptured, PaymentDeclined, PaymentVoided, StockRejected
from services.payment.main import service

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.outside import RunningGateway


def order(order_id: int = 1, total: str = "99.99", charge_id: str | None = None) -> OrderCreated:
    return OrderCreated(
        order_id=order_id,
        user_id=789,
        total=Decimal(total),
        currency="EUR",
        lines=(Line(sku="desk-lamp", quantity=1),),
        charge_id=charge_id,
    )


def rejected(order_id: int = 1) -> StockRejected:
    return StockRejected(order_id=order_id, user_id=789, missing=("desk-lamp",))


@pytest.fixture
async def bus(gateway: RunningGateway) -> AsyncIterator[TestBus]:
    async with TestBus(service) as started:
        yield started


async def test_an_order_is_charged_once_though_it_is_published_twice(bus: TestBus, gateway: RunningGateway):
    await bus.publish(order())
    await bus.publish(order())

    (charge,) = await gateway.charges()
    assert (charge["amount"], charge["reference"]) == ("99.99", "order-1")
    assert {captured.charge_id for captured in bus.published(PaymentCaptured)} == {charge["charge_id"]}


async def test_an_order_of_version_1_is_charged_in_euro(bus: TestBus, gateway: RunningGateway):
    await bus.publish("order.created", {"order_id": 5, "user_id": 789, "total": 99.99}, version="1.0")

    (charge,) = await gateway.charges()
    assert (charge["amount"], charge["currency"]) == ("99.99", "EUR")


async def test_an_order_that_was_paid_in_line_is_not_charged_again(bus: TestBus, gateway: RunningGateway):
    await bus.publish(order(charge_id="ch_in_line"))

    assert await gateway.charges() == []
    (captured,) = bus.published(PaymentCaptured)
    assert captured.charge_id == "ch_in_line"


async def test_a_decline_is_told_and_not_retried(bus: TestBus, gateway: RunningGateway):
    await bus.publish(order(total="20.13"))
    await bus.advance(timedelta(hours=1))

    (declined,) = bus.published(PaymentDeclined)
    assert (declined.user_id, declined.reason) == (789, "insufficient_funds")
    assert not bus.published(PaymentCaptured)
    assert not bus.dead_letters


async def test_a_failing_gateway_is_asked_again_with_growing_pauses(bus: TestBus, gateway: RunningGateway):
    await gateway.behave(status=503, times=2)

    await bus.publish(order())
    assert not bus.published(PaymentCaptured)
    await bus.advance(timedelta(seconds=10))

    assert len(bus.published(PaymentCaptured)) == 1


async def test_a_lost_answer_does_not_charge_twice(bus: TestBus, gateway: RunningGateway):
    await gateway.behave(status=500, times=1, answer_lost=True)

    await bus.publish(order())
    await bus.advance(timedelta(seconds=10))

    assert await gateway.statuses() == ["captured"]
    assert len(bus.published(PaymentCaptured)) == 1


async def test_a_busy_gateway_is_left_alone_for_120_seconds(bus: TestBus, gateway: RunningGateway):
    await gateway.behave(status=429, times=1)

    await bus.publish(order())
    await bus.advance(timedelta(seconds=119))
    assert not await gateway.charges()
    await bus.advance(timedelta(seconds=2))

    assert await gateway.statuses() == ["captured"]


async def test_what_the_gateway_refuses_for_good_is_a_dead_letter_at_once(
    bus: TestBus, gateway: RunningGateway
):
    await gateway.behave(status=403)

    await bus.publish(order())

    (dead,) = bus.dead_letters
    assert (dead.reason, dead.attempts) == ("rejected", 1)
    assert "403" in dead.error


async def test_the_money_goes_back_when_the_goods_are_missing(bus: TestBus, gateway: RunningGateway):
    await bus.publish(order())
    await bus.publish(rejected())
    await bus.publish(rejected())

    assert await gateway.statuses() == ["refunded"]
    assert {voided.amount for voided in bus.published(PaymentVoided)} == {Decimal("99.99")}


async def test_the_money_goes_back_too_when_the_missing_goods_are_known_first(
    bus: TestBus, gateway: RunningGateway
):
    await bus.publish(rejected())
    await bus.publish(order())
    await bus.advance(timedelta(seconds=5))

    assert await gateway.statuses() == ["refunded"]
    assert len(bus.published(PaymentVoided)) == 1
    assert not bus.dead_letters


async def test_a_declined_order_has_nothing_to_give_back(bus: TestBus, gateway: RunningGateway):
    await bus.publish(order(total="20.13"))
    await bus.publish(rejected())

    assert not bus.published(PaymentVoided)
    assert await gateway.statuses() == ["declined"]


async def test_an_order_that_comes_again_after_its_refund_is_not_charged_again(
    bus: TestBus, gateway: RunningGateway
):
    await bus.publish(order())
    await bus.publish(rejected())
    await bus.publish(order())

    assert await gateway.statuses() == ["refunded"]
    assert len(bus.published(PaymentCaptured)) == 1
