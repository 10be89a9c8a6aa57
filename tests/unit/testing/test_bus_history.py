"""A test bus whose services begin in the past."""

from __future__ import annotations

from eventbus import Event, Service, subscribe
from eventbus.testing import TestBus


class OrderCreated(Event, type="order.created"):
    order_id: int


async def test_a_service_that_begins_in_the_past_is_live_when_the_test_begins():
    seen: list[int] = []

    @subscribe(OrderCreated, start="beginning")
    async def count(event: OrderCreated) -> None:
        seen.append(event.order_id)

    async with TestBus(Service("analytics", [count])) as bus:
        await bus.publish(OrderCreated(order_id=1))

    assert seen == [1]
