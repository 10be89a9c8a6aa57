"""The analytics service counts what was published before it existed, and each event once."""

from __future__ import annotations

import time
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from eventbus import Bus
from schemas import Line, OrderCreated, PaymentCaptured, PaymentVoided
from services.analytics import ledger
from services.analytics.main import service
from services.demo.late import compare
from tests.support.eventually import eventually

if TYPE_CHECKING:
    from pathlib import Path

ORDERS: list[dict[str, Any]] = [
    {"order_id": 1, "currency": "EUR", "total": "10.00", "status": "completed"},
    {"order_id": 2, "currency": "EUR", "total": "20.00", "status": "out_of_stock"},
]


def created(order_id: int, total: str) -> OrderCreated:
    lines = (Line(sku="notebook", quantity=1),)
    return OrderCreated(order_id=order_id, user_id=7, total=Decimal(total), currency="EUR", lines=lines)


async def test_it_counts_history_and_what_comes_later_and_nothing_twice(tmp_path: Path):
    path = str(tmp_path / "analytics.db")
    ledger.prepare(path)
    paid = {"charge_id": "ch_1", "currency": "EUR"}
    async with Bus(f"sqlite:///{tmp_path / 'events.db'}", source="test", store=f"sqlite:///{path}") as bus:
        await bus.publish(created(99, "5.00"))  # of another shop, before ours
        await bus.publish(created(1, "10.00"), event_id="evt_first")
        await bus.publish(PaymentCaptured(order_id=1, amount=Decimal("10.00"), **paid))
        async with bus.running(service):
            await bus.publish(created(1, "10.00"), event_id="evt_first")
            await bus.publish(created(2, "20.00"))
            await bus.publish(PaymentCaptured(order_id=2, amount=Decimal("20.00"), **paid))
            await bus.publish(PaymentVoided(order_id=2, amount=Decimal("20.00"), **paid))

            def counted() -> list[tuple[str, int, Decimal]]:
                return [(each.currency, each.orders, each.revenue) for each in ledger.totals(path)]

            await eventually(lambda: counted() == [("EUR", 3, Decimal("10.00"))], within=20)
            # That is also what it has counted before the second payment, which is taken back.
            soon = time.monotonic() + 20
            comparison = await compare(ORDERS, tmp_path / "analytics.db", deadline=soon)

    assert comparison.complaints == []
    assert comparison.of_before == 1


async def test_what_is_missing_is_told(tmp_path: Path):
    ledger.prepare(str(tmp_path / "analytics.db"))

    comparison = await compare(ORDERS, tmp_path / "analytics.db", deadline=time.monotonic())

    assert comparison.complaints == ["analytics has nothing in EUR, and the order service 2 orders and 10.00"]
