"""Batches on the test bus: no test waits until one is full."""

from __future__ import annotations

import pytest

from eventbus import Batch, Event, Reject, Service, subscribe
from eventbus.testing import TestBus


class OrderCreated(Event, type="order.created"):
    order_id: int


async def test_a_batch_is_handled_before_publish_returns():
    seen: list[list[int]] = []

    @subscribe(OrderCreated, batch=Batch(size=2, within=3600))
    async def send(events: list[OrderCreated]) -> None:
        seen.append([event.order_id for event in events])

    async with TestBus(Service("email", [send])) as bus:
        await bus.publish_many([OrderCreated(order_id=number) for number in range(3)])
        assert seen == [[0, 1], [2]]


@pytest.mark.parametrize("size", [7, 100, 500])
async def test_of_many_that_are_published_together_only_the_last_batch_is_not_full(size: int):
    seen: list[int] = []

    @subscribe(OrderCreated, batch=Batch(size=size, within=3600))
    async def send(events: list[OrderCreated]) -> None:
        seen.append(len(events))

    async with TestBus(Service("email", [send])) as bus:
        await bus.publish_many([OrderCreated(order_id=number) for number in range(2 * size + size // 2)])
        assert sorted(seen, reverse=True) == [size, size, size // 2]


async def test_one_bad_event_of_a_batch_takes_no_others_along():
    seen: list[int] = []

    @subscribe(OrderCreated, batch=Batch(size=10, within=3600))
    async def send(events: list[OrderCreated]) -> None:
        if any(event.order_id == 3 for event in events):
            raise Reject("no such address")
        seen.extend(event.order_id for event in events)

    async with TestBus(Service("email", [send])) as bus:
        await bus.publish_many([OrderCreated(order_id=number) for number in range(5)])
        await bus.advance(1)
        assert sorted(seen) == [0, 1, 2, 4]
        assert [(dead.reason, dead.attempts) for dead in bus.dead_letters] == [("rejected", 2)]
