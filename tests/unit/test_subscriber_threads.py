"""A plain function that runs on after its timeout takes its own place, and no other event's time."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from eventbus import Event, subscribe
from eventbus.outcome import Ack
from eventbus.subscriber import Subscriber
from tests.support.eventually import eventually
from tests.support.handling import Bench, delivered
from tests.support.scripted import ScriptedConsumption, ScriptedTransport

TIMEOUT = 0.4


class OrderCreated(Event, type="order.created"):
    order_id: int = 1


class Hanging:
    """A handler that hangs with orders of a negative number until it is released."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.ran: list[int] = []

    def handler(self, event: OrderCreated) -> None:
        self.ran.append(event.order_id)
        if event.order_id < 0:
            assert self.gate.wait(30)


@asynccontextmanager
async def running(function: Callable[..., Any], concurrency: int) -> AsyncGenerator[ScriptedConsumption]:
    bench = Bench(
        subscribe(OrderCreated, name="handler", concurrency=concurrency, timeout=TIMEOUT)(function),
        most=concurrency,
    )
    transport = ScriptedTransport()
    subscribing = Subscriber(bench.member, bench.pipeline, transport.as_transport(), threads=bench.threads)
    task = asyncio.create_task(subscribing.run())
    await asyncio.wait_for(subscribing.ready.wait(), 5)
    yield transport.consumptions[0]
    await subscribing.stop()
    await asyncio.wait_for(task, 5)


def acked(consumption: ScriptedConsumption) -> int:
    return sum(isinstance(outcome, Ack) for _, outcome in consumption.settled)


@pytest.mark.parametrize("concurrency", [1, 3])
async def test_events_behind_hung_threads_wait_for_one_and_lose_no_attempt(concurrency: int):
    hanging = Hanging()
    async with running(hanging.handler, concurrency) as consumption:
        consumption.hand_over(*(delivered(OrderCreated(order_id=-1)) for _ in range(concurrency)))
        await eventually(lambda: len(consumption.settled) == concurrency)  # by its timeout, each
        consumption.hand_over(*(delivered(OrderCreated(order_id=number)) for number in range(10)))
        await asyncio.sleep(1.5 * TIMEOUT)  # longer than an event may take
        assert len(consumption.settled) == concurrency

        hanging.gate.set()
        await eventually(lambda: len(consumption.settled) == concurrency + 10)

    assert acked(consumption) == 10
    assert sorted(hanging.ran) == [-1] * concurrency + list(range(10))


async def test_where_one_thread_hangs_the_others_go_on():
    hanging = Hanging()
    async with running(hanging.handler, 2) as consumption:
        consumption.hand_over(delivered(OrderCreated(order_id=-1)))
        await eventually(lambda: len(consumption.settled) == 1)
        consumption.hand_over(*(delivered(OrderCreated(order_id=number)) for number in range(10)))
        await eventually(lambda: acked(consumption) == 10)

    hanging.gate.set()


async def test_a_stop_does_not_wait_for_a_hung_thread():
    hanging = Hanging()
    async with running(hanging.handler, 1) as consumption:
        consumption.hand_over(delivered(OrderCreated(order_id=-1)))
        await eventually(lambda: len(consumption.settled) == 1)

    hanging.gate.set()
