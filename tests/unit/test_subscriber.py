from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import structlog

from eventbus import Batch, Event, RetryPolicy, subscribe, subscriber
from eventbus.outcome import Ack, RetryAfter
from eventbus.subscriber import Subscriber
from eventbus.transport import Delivery
from tests.support.eventually import eventually
from tests.support.handling import Bench, delivered
from tests.support.scripted import ScriptedConsumption, ScriptedTransport


class OrderCreated(Event, type="order.created"):
    order_id: int = 1


class Gate:
    """A handler that lets a test look in: who is inside, who came, and when they may go."""

    def __init__(self, *, is_open: bool = False) -> None:
        self.inside = 0
        self.most = 0
        self.came: list[int] = []
        self.cancelled: list[int] = []
        self._open = asyncio.Event()
        if is_open:
            self.open()

    def open(self) -> None:
        self._open.set()

    async def handle(self, event: OrderCreated) -> None:
        self.came.append(event.order_id)
        self.inside += 1
        self.most = max(self.most, self.inside)
        try:
            await self._open.wait()
        except asyncio.CancelledError:
            self.cancelled.append(event.order_id)
            raise
        finally:
            self.inside -= 1


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscriber, "PAUSE_AFTER_TROUBLE", 0.01)


def subscriber_of(
    handler: Callable[..., Any], transport: ScriptedTransport | None = None, **options: Any
) -> tuple[Subscriber, ScriptedTransport]:
    options.setdefault("retry", RetryPolicy(jitter=False))
    bench = Bench(subscribe(OrderCreated, name="handler", **options)(handler))
    transport = transport or ScriptedTransport()
    return Subscriber(bench.member, bench.pipeline, transport.as_transport()), transport


@asynccontextmanager
async def running(
    handler: Callable[..., Any], **options: Any
) -> AsyncGenerator[tuple[Subscriber, ScriptedTransport, ScriptedConsumption]]:
    """A subscriber that consumes; stopped at the end, which must not take long."""
    subscribing, transport = subscriber_of(handler, **options)
    task = asyncio.create_task(subscribing.run())
    await asyncio.wait_for(subscribing.ready.wait(), 5)
    yield subscribing, transport, transport.consumptions[0]
    await subscribing.stop()
    await asyncio.wait_for(task, 5)


def orders(*numbers: int, attempt: int = 1) -> list[Delivery]:
    return [delivered(OrderCreated(order_id=number), attempt=attempt) for number in numbers]


# --- the ordinary run


async def test_deliveries_are_handled_and_settled():
    gate = Gate(is_open=True)
    async with running(gate.handle) as (_, _, consumption):
        given = orders(1, 2, 3)
        consumption.hand_over(*given)
        await eventually(lambda: len(consumption.settled) == 3)
    assert {(id(delivery), outcome) for delivery, outcome in consumption.settled} == {
        (id(d), Ack()) for d in given
    }


async def test_it_consumes_its_queue_with_its_prefetch():
    async with running(Gate().handle, prefetch=7) as (_, _, consumption):
        assert (consumption.queue, consumption.prefetch) == ("shop.handler", 7)


async def test_no_more_run_at_once_than_the_concurrency_allows():
    gate = Gate()
    async with running(gate.handle, concurrency=3) as (_, _, consumption):
        consumption.hand_over(*orders(*range(10)))
        await eventually(lambda: gate.inside == 3)
        gate.open()
        await eventually(lambda: len(consumption.settled) == 10)
    assert gate.most == 3


async def test_with_a_concurrency_of_one_events_are_handled_in_order():
    gate = Gate(is_open=True)
    async with running(gate.handle, concurrency=1) as (_, _, consumption):
        consumption.hand_over(*orders(*range(20)))
        await eventually(lambda: len(consumption.settled) == 20)
    assert gate.came == list(range(20))


async def test_one_slow_event_does_not_hold_up_the_others():
    gate = Gate()

    async def handler(event: OrderCreated) -> None:
        if event.order_id == 0:
            await gate.handle(event)

    async with running(handler, concurrency=2) as (_, _, consumption):
        consumption.hand_over(*orders(*range(5)))
        await eventually(lambda: len(consumption.settled) == 4)
        gate.open()
        await eventually(lambda: len(consumption.settled) == 5)


async def test_acks_do_not_wait_for_retries():
    async def handler(event: OrderCreated) -> None:
        if event.order_id:
            raise ValueError("no")

    async with running(handler) as (_, _, consumption):
        consumption.hand_over(*orders(0, 1, 0, 1))
        await eventually(lambda: len(consumption.settled) == 4)
    assert [type(outcome) for _, outcome in consumption.settled] == [Ack, Ack, RetryAfter, RetryAfter]
    assert consumption.settle_calls == 2


async def test_what_ends_together_is_settled_together():
    gate = Gate()
    async with running(gate.handle, concurrency=50) as (_, _, consumption):
        consumption.hand_over(*orders(*range(50)))
        await eventually(lambda: gate.inside == 50)
        gate.open()
        await eventually(lambda: len(consumption.settled) == 50)
    assert consumption.settle_calls < 10


async def test_a_settling_that_fails_is_told_and_stops_nothing(monkeypatch: pytest.MonkeyPatch):
    async with running(Gate(is_open=True).handle) as (_, _, consumption):

        async def fails(_: object) -> None:
            raise ConnectionError("gone")

        with monkeypatch.context() as patch, structlog.testing.capture_logs() as logs:
            patch.setattr(consumption, "settle", fails)
            consumption.hand_over(*orders(1))
            await eventually(lambda: [line for line in logs if line["event"] == "settle.failed"])
        consumption.hand_over(*orders(2))
        await eventually(lambda: len(consumption.settled) == 1)


# --- trouble


async def test_a_consumption_that_fails_is_begun_anew():
    gate = Gate(is_open=True)
    async with running(gate.handle) as (subscribing, transport, consumption):
        consumption.fail(ConnectionError("lost"))
        await eventually(lambda: len(transport.consumptions) == 2 and subscribing.ready.is_set())
        transport.consumptions[1].hand_over(*orders(7))
        await eventually(lambda: len(transport.consumptions[1].settled) == 1)
    assert gate.came == [7]


async def test_handlers_of_a_consumption_that_failed_are_cancelled_for_their_events_come_again():
    gate = Gate()
    async with running(gate.handle) as (_, transport, consumption):
        consumption.hand_over(*orders(1))
        await eventually(lambda: gate.inside == 1)
        consumption.fail(ConnectionError("lost"))
        await eventually(lambda: len(transport.consumptions) == 2)
    assert gate.cancelled == [1]
    assert consumption.settled == []


async def test_a_queue_that_cannot_be_consumed_is_tried_again_until_it_can():
    transport = ScriptedTransport()
    transport.consume_errors = [ConnectionError("refused") for _ in range(3)]
    with structlog.testing.capture_logs() as logs:
        async with running(Gate().handle, transport=transport):
            pass
    failures = [line for line in logs if line["event"] == "subscription.failed"]
    assert [line["error"] for line in failures] == ["ConnectionError: refused"] * 3


async def test_it_is_ready_only_while_it_consumes(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(subscriber, "PAUSE_AFTER_TROUBLE", 60)
    async with running(Gate().handle) as (subscribing, _, consumption):
        consumption.fail(ConnectionError("lost"))
        await eventually(lambda: not subscribing.ready.is_set())


# --- stopping


async def test_stopping_waits_for_the_handlers_that_have_begun_and_settles_them():
    gate = Gate()
    subscribing, transport = subscriber_of(gate.handle, concurrency=2)
    task = asyncio.create_task(subscribing.run())
    await subscribing.ready.wait()
    consumption = transport.consumptions[0]
    consumption.hand_over(*orders(1, 2, 3, 4))
    await eventually(lambda: gate.inside == 2)
    await subscribing.stop()
    assert consumption.is_stopped
    assert not task.done()
    gate.open()
    await asyncio.wait_for(task, 5)
    assert gate.came == [1, 2]
    assert len(consumption.settled) == 2


async def test_stopping_waits_for_what_is_being_settled():
    subscribing, transport = subscriber_of(Gate(is_open=True).handle)
    task = asyncio.create_task(subscribing.run())
    await subscribing.ready.wait()
    consumption = transport.consumptions[0]
    consumption.settling.clear()
    consumption.hand_over(*orders(1))
    await eventually(lambda: consumption.settle_calls == 1)
    await subscribing.stop()
    await asyncio.sleep(0)
    assert not task.done()
    consumption.settling.set()
    await asyncio.wait_for(task, 5)
    assert len(consumption.settled) == 1


async def test_stopping_before_the_first_delivery_ends_at_once():
    async with running(Gate().handle):
        pass


async def test_stopping_while_the_broker_does_not_hand_over_yet_begins_nothing():
    gate = Gate(is_open=True)
    transport = ScriptedTransport()
    transport.may_consume.clear()
    subscribing, _ = subscriber_of(gate.handle, transport)
    task = asyncio.create_task(subscribing.run())
    await asyncio.sleep(0)
    await subscribing.stop()
    transport.may_consume.set()
    await asyncio.wait_for(task, 5)
    assert not subscribing.ready.is_set()


async def test_stopping_during_a_pause_does_not_wait_for_its_end(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(subscriber, "PAUSE_AFTER_TROUBLE", 60)
    async with running(Gate().handle) as (subscribing, _, consumption):
        consumption.fail(ConnectionError("lost"))
        await eventually(lambda: not subscribing.ready.is_set())


async def test_a_batch_that_is_not_full_when_it_stops_is_not_handled_and_not_acked():
    handled: list[object] = []
    batch = Batch(size=3, within=60)
    async with running(lambda events: handled.append(len(events)), batch=batch) as (_, _, consumption):
        consumption.hand_over(*orders(1, 2, 3, 4))
        await eventually(lambda: len(consumption.settled) == 3)
    assert handled == [3]
    assert len(consumption.settled) == 3
