"""A handler that ends its own task ends one run: its worker goes on, and is cut off only from outside."""

from __future__ import annotations

import asyncio
import contextvars
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
from tests.support.scripted import ScriptedTransport


class OrderCreated(Event, type="order.created"):
    order_id: int = 1


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscriber, "PAUSE_AFTER_TROUBLE", 0.01)


@asynccontextmanager
async def running(
    handler: Callable[..., Any], batch: Batch | None = None
) -> AsyncGenerator[ScriptedTransport]:
    """A subscriber with one worker."""
    retry = RetryPolicy(jitter=False)
    bench = Bench(subscribe(OrderCreated, name="handler", concurrency=1, retry=retry, batch=batch)(handler))
    transport = ScriptedTransport()
    subscribing = Subscriber(bench.member, bench.pipeline, transport.as_transport())
    task = asyncio.create_task(subscribing.run())
    await asyncio.wait_for(subscribing.ready.wait(), 5)
    yield transport
    await subscribing.stop()
    await asyncio.wait_for(task, 5)


def orders(*numbers: int) -> list[Delivery]:
    return [delivered(OrderCreated(order_id=number)) for number in numbers]


async def cancels_itself() -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await asyncio.sleep(0)


async def swallows_it() -> None:
    """As libraries older than `uncancel` do."""
    try:
        await cancels_itself()
    except asyncio.CancelledError:
        return


async def exits() -> None:
    raise GeneratorExit


@pytest.mark.parametrize(
    ("end", "told"),
    [
        (cancels_itself, "HandlerCancelled: shop.handler"),
        (exits, "HandlerExited: shop.handler raised GeneratorExit"),
    ],
)
async def test_a_handler_that_ends_its_own_task_is_retried_and_the_next_event_is_handled(
    end: Callable[[], Any], told: str
):
    async def handler(event: OrderCreated) -> None:
        if event.order_id == 1:
            await end()

    with structlog.testing.capture_logs() as logs:
        async with running(handler) as transport:
            transport.consumptions[0].hand_over(*orders(1, 2))
            await eventually(lambda: len(transport.consumptions[0].settled) == 2)
    outcomes = sorted((outcome for _, outcome in transport.consumptions[0].settled), key=str)
    assert outcomes[0] == Ack()
    assert isinstance(outcomes[1], RetryAfter)
    assert outcomes[1].error.startswith(told)
    assert len(transport.consumptions) == 1
    assert [line["error"] for line in logs if line["event"] == "handler.failed"] == [outcomes[1].error]


async def test_a_cancellation_that_a_handler_has_left_behind_ends_no_later_run():
    async def handler(event: OrderCreated) -> None:
        if event.order_id == 1:
            await swallows_it()
        elif event.order_id == 2:
            raise asyncio.CancelledError

    async with running(handler) as transport:
        transport.consumptions[0].hand_over(*orders(1, 2, 3))
        await eventually(lambda: len(transport.consumptions[0].settled) == 3)
    assert [type(outcome) for _, outcome in transport.consumptions[0].settled] == [Ack, Ack, RetryAfter]


@pytest.mark.parametrize("batch", [None, Batch(size=2, within=60)])
async def test_a_cancellation_that_comes_after_the_run_loses_no_delivery(batch: Batch | None):
    runs = 0

    async def handler(event: Any) -> None:
        nonlocal runs
        runs += 1
        if runs == 1:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()  # it hears of that when it waits next

    async def of_one(event: OrderCreated) -> None:
        await handler(event)

    async def of_many(events: list[OrderCreated]) -> None:
        await handler(events)

    async with running(of_many if batch else of_one, batch) as transport:
        consumption = transport.consumptions[0]
        consumption.hand_over(*orders(1, 2, 3) if batch else orders(1))
        await eventually(lambda: len(consumption.settled) == (2 if batch else 1))
        consumption.hand_over(*orders(4))
        await eventually(lambda: len(consumption.settled) == (4 if batch else 2))
    assert {outcome for _, outcome in consumption.settled} == {Ack()}
    assert len(transport.consumptions) == 1


async def test_a_worker_whose_handler_has_cancelled_it_can_still_be_cut_off():
    cut_off: list[int] = []
    inside = asyncio.Event()

    async def handler(event: OrderCreated) -> None:
        if event.order_id == 1:
            await cancels_itself()
        inside.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cut_off.append(event.order_id)
            raise

    async with running(handler) as transport:
        transport.consumptions[0].hand_over(*orders(1, 2))
        await asyncio.wait_for(inside.wait(), 5)
        transport.consumptions[0].fail(ConnectionError("lost"))
        await eventually(lambda: len(transport.consumptions) == 2)
    assert cut_off == [2]
    assert len(transport.consumptions[0].settled) == 1


tenant = contextvars.ContextVar("tenant", default="nobody")


async def test_context_variables_that_a_handler_sets_are_not_there_for_the_next_event():
    told = tenant.set("the service")
    seen: list[tuple[int, str]] = []
    tasks: set[object] = set()

    async def handler(event: OrderCreated) -> None:
        seen.append((event.order_id, tenant.get()))
        tasks.add(asyncio.current_task())
        if event.order_id in (2, 3):
            await asyncio.sleep(0)
            tenant.set(f"the customer of {event.order_id}")

    async with running(handler) as transport:
        transport.consumptions[0].hand_over(*orders(1, 2, 3, 4, 5))
        await eventually(lambda: len(transport.consumptions[0].settled) == 5)
    tenant.reset(told)

    assert seen == [(number, "the service") for number in (1, 2, 3, 4, 5)]
    assert len(tasks) == 3  # one, and another one after each that has set something
