"""The payment service's database: one payment for each order, and no step back."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from services.payment.payments import Payments, State

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture
async def payments(tmp_path: Path) -> AsyncIterator[Payments]:
    async with Payments.open(str(tmp_path / "payments.db")) as opened:
        yield opened


async def begin(payments: Payments, order_id: int = 1, amount: str = "10.00") -> State:
    return (await payments.begin(order_id, 789, Decimal(amount), "EUR")).state


async def test_a_payment_begins_pending_and_keeps_its_amount_to_the_cent(payments: Payments):
    payment = await payments.begin(1, 789, Decimal("99.99"), "EUR")

    assert (payment.state, payment.amount) == (State.PENDING, Decimal("99.99"))


async def test_beginning_again_changes_nothing(payments: Payments):
    await begin(payments, amount="10.00")
    await payments.capture(1, "ch_1")

    again = await payments.begin(1, 789, Decimal("20.00"), "EUR")

    assert (again.state, again.amount, again.charge_id) == (State.CAPTURED, Decimal("10.00"), "ch_1")


async def test_a_captured_payment_can_only_be_voided(payments: Payments):
    await begin(payments)
    await payments.capture(1, "ch_1")

    assert (await payments.decline(1, "too late")).state is State.CAPTURED
    assert (await payments.void(1)).state is State.VOIDED
    assert (await payments.capture(1, "ch_2")).charge_id == "ch_1"


async def test_a_declined_payment_stays_declined(payments: Payments):
    await begin(payments)
    await payments.decline(1, "insufficient_funds")

    assert (await payments.capture(1, "ch_1")).state is State.DECLINED
    assert (await payments.void(1)).reason == "insufficient_funds"


async def test_an_order_that_was_never_charged_has_no_payment(payments: Payments):
    assert await payments.get(1) is None


async def test_two_workers_share_the_file(tmp_path: Path):
    path = str(tmp_path / "payments.db")
    async with Payments.open(path) as one, Payments.open(path) as other:
        await asyncio.gather(*(begin(each, order_id) for order_id in range(20) for each in (one, other)))
        await asyncio.gather(
            *(worker.capture(order_id, f"ch_{order_id}") for order_id in range(20) for worker in (one, other))
        )

        states = [await one.get(order_id) for order_id in range(20)]

    assert {payment.state for payment in states if payment} == {State.CAPTURED}
