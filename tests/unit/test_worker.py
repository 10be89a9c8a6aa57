from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from typing import Annotated, Any

import pytest
import structlog

from eventbus import Depends, Event, Service, subscribe, worker
from eventbus.codec import Codec
from eventbus.outcome import Ack
from eventbus.pipelines import Pipelines
from eventbus.registry import Registry
from eventbus.worker import Worker
from tests.support.eventually import eventually
from tests.support.handling import a_publisher, delivered
from tests.support.scripted import ScriptedConsumption, ScriptedTransport


class OrderCreated(Event, type="order.created"):
    pass


class OrderPaid(Event, type="order.paid"):
    pass


@pytest.fixture(autouse=True)
def short_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "AFTER_GRACE", 0.1)


@pytest.fixture
def logs() -> Iterator[list[structlog.typing.EventDict]]:
    with structlog.testing.capture_logs() as lines:
        yield lines


@pytest.fixture
def transport() -> ScriptedTransport:
    return ScriptedTransport()


def worker_of(transport: ScriptedTransport, *services: Service, grace: float = 5, known: Any = ()) -> Worker:
    return Worker(
        services,
        transport.as_transport(),
        Pipelines(a_publisher(transport), Codec()),
        known=Registry(known),
        grace=grace,
    )


def consumption(transport: ScriptedTransport, queue: str) -> ScriptedConsumption:
    (found,) = [each for each in transport.consumptions if each.queue == queue]
    return found


@subscribe(OrderCreated)
async def charge(event: OrderCreated) -> None: ...


@subscribe(OrderCreated)
async def notify(event: OrderCreated) -> None: ...


PAYMENT, EMAIL = Service("payment", [charge]), Service("email", [notify])


# --- starting


async def test_it_has_started_when_every_subscription_is_consuming(
    transport: ScriptedTransport, logs: list[structlog.typing.EventDict]
):
    running = worker_of(transport, PAYMENT, EMAIL)
    assert not running.is_ready
    await running.start()
    assert running.is_ready
    assert {each.queue for each in transport.consumptions} == {"payment.charge", "email.notify"}
    (line,) = [line for line in logs if line["event"] == "worker.ready"]
    assert (line["services"], line["subscriptions"]) == (
        ["payment", "email"],
        ["payment.charge", "email.notify"],
    )
    assert line["broker"] == "scripted:"
    await running.stop()


async def test_it_has_not_started_while_one_subscription_is_not_consuming(transport: ScriptedTransport):
    transport.may_consume.clear()
    running = worker_of(transport, PAYMENT)
    starting = asyncio.create_task(running.start())
    await asyncio.sleep(0.01)
    assert not starting.done()
    transport.may_consume.set()
    await asyncio.wait_for(starting, 5)
    await running.stop()


async def test_stopping_while_it_starts_leaves_nothing_behind(transport: ScriptedTransport):
    transport.may_consume.clear()
    running = worker_of(transport, PAYMENT, EMAIL, grace=0.05)
    starting = asyncio.create_task(running.start())
    await asyncio.sleep(0)
    starting.cancel()
    await asyncio.wait([starting])
    await asyncio.wait_for(running.stop(), 5)
    assert {task.get_name() for task in asyncio.all_tasks()} & {"payment.charge", "email.notify"} == set()


async def test_it_may_be_stopped_before_it_was_started_and_twice(transport: ScriptedTransport):
    running = worker_of(transport, PAYMENT)
    await running.stop()
    await running.stop()


async def test_a_handler_reads_events_that_only_the_bus_knows(transport: ScriptedTransport):
    seen: list[Event] = []

    class Elsewhere(Event, type="elsewhere.happened"):
        pass

    @subscribe("elsewhere.*")
    async def audit(event: Event) -> None:
        seen.append(event)

    running = worker_of(transport, Service("audit", [audit]), known=[Elsewhere])
    await running.start()
    consumption(transport, "audit.audit").hand_over(delivered(Elsewhere()))
    await eventually(lambda: seen == [Elsewhere()])
    await running.stop()


# --- one never stops the others


async def test_a_failing_subscription_does_not_disturb_another(transport: ScriptedTransport):
    running = worker_of(transport, PAYMENT, EMAIL)
    await running.start()
    consumption(transport, "payment.charge").fail(ConnectionError("queue deleted"))
    healthy = consumption(transport, "email.notify")
    healthy.hand_over(delivered(OrderCreated()))
    await eventually(lambda: [outcome for _, outcome in healthy.settled] == [Ack()])
    await running.stop()


async def test_functions_that_never_return_take_no_threads_from_another_subscription(
    transport: ScriptedTransport,
):
    may_end = threading.Event()

    @subscribe(OrderCreated, concurrency=2, timeout=0.01)
    def hangs(event: OrderCreated) -> None:
        may_end.wait(30)

    @subscribe(OrderCreated, concurrency=1)
    def works(event: OrderCreated) -> None: ...

    running = worker_of(transport, Service("shop", [hangs, works]))
    await running.start()
    consumption(transport, "shop.hangs").hand_over(*(delivered(OrderCreated()) for _ in range(5)))
    await eventually(lambda: len(consumption(transport, "shop.hangs").settled) == 2)
    healthy = consumption(transport, "shop.works")
    healthy.hand_over(delivered(OrderCreated()))
    await eventually(lambda: [outcome for _, outcome in healthy.settled] == [Ack()])
    await running.stop()
    may_end.set()


# --- stopping


async def test_stopping_lets_the_handlers_that_have_begun_finish(transport: ScriptedTransport):
    begun, may_end = asyncio.Event(), asyncio.Event()

    @subscribe(OrderCreated, concurrency=1)
    async def slow(event: OrderCreated) -> Event:
        begun.set()
        await may_end.wait()
        return OrderPaid()

    running = worker_of(transport, Service("shop", [slow]))
    await running.start()
    given = consumption(transport, "shop.slow")
    given.hand_over(delivered(OrderCreated()), delivered(OrderCreated()))
    await asyncio.wait_for(begun.wait(), 5)
    stopping = asyncio.create_task(running.stop())
    await eventually(lambda: given.is_stopped)
    may_end.set()
    await asyncio.wait_for(stopping, 5)
    assert [outcome for _, outcome in given.settled] == [Ack()]
    assert len(transport.sent) == 1


async def test_after_the_grace_handlers_are_cancelled_and_their_events_not_settled(
    transport: ScriptedTransport, logs: list[structlog.typing.EventDict]
):
    steps: list[str] = []

    @subscribe(OrderCreated)
    async def hangs(event: OrderCreated) -> None:
        steps.append("begun")
        try:
            await asyncio.Event().wait()
        finally:
            steps.append("cancelled")

    running = worker_of(transport, Service("shop", [hangs]), grace=0.05)
    await running.start()
    given = consumption(transport, "shop.hangs")
    given.hand_over(delivered(OrderCreated()))
    await eventually(lambda: steps)
    await asyncio.wait_for(running.stop(), 5)
    assert (steps, given.settled) == (["begun", "cancelled"], [])
    cut_off = [line["subscription"] for line in logs if line["event"] == "subscription.cut_off"]
    assert cut_off == ["shop.hangs"]


async def test_without_a_grace_handlers_are_cancelled_at_once_and_still_clean_up(
    transport: ScriptedTransport,
):
    steps: list[str] = []

    async def session() -> AsyncIterator[None]:
        yield
        await asyncio.sleep(0)
        steps.append("session")

    @subscribe(OrderCreated)
    async def hangs(event: OrderCreated, session: object) -> None:
        steps.append("begun")
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            steps.append("handler")

    hangs.function.__annotations__["session"] = Annotated[object, Depends(session)]
    running = worker_of(transport, Service("shop", [hangs]), grace=0)
    await running.start()
    consumption(transport, "shop.hangs").hand_over(delivered(OrderCreated()))
    await eventually(lambda: steps)
    await asyncio.wait_for(running.stop(), 5)
    assert steps == ["begun", "handler", "session"]


async def test_a_handler_that_will_not_end_does_not_keep_the_worker_from_ending(transport: ScriptedTransport):
    begun, stubborn = asyncio.Event(), asyncio.Event()

    @subscribe(OrderCreated)
    async def ignores(event: OrderCreated) -> None:
        begun.set()
        while not stubborn.is_set():
            with suppress(asyncio.CancelledError):
                await stubborn.wait()

    running = worker_of(transport, Service("shop", [ignores]), grace=0.05)
    await running.start()
    consumption(transport, "shop.ignores").hand_over(delivered(OrderCreated()))
    await asyncio.wait_for(begun.wait(), 5)
    await asyncio.wait_for(running.stop(), 5)
    stubborn.set()


async def test_the_trouble_of_one_services_clean_up_does_not_keep_others_from_theirs(
    transport: ScriptedTransport, logs: list[structlog.typing.EventDict]
):
    ended: list[str] = []

    def fails() -> Iterator[None]:
        yield
        raise ConnectionError("cannot close")

    async def hangs() -> AsyncIterator[None]:
        yield
        await asyncio.Event().wait()

    def works() -> Iterator[None]:
        yield
        ended.append("works")

    def service_with(factory: Any) -> Service:
        async def handler(event: OrderCreated, thing: object) -> None: ...

        handler.__annotations__["thing"] = Annotated[object, Depends(factory)]
        return Service(factory.__name__, [subscribe(OrderCreated)(handler)])

    running = worker_of(transport, *(service_with(factory) for factory in (works, fails, hangs)))
    await running.start()
    for each in transport.consumptions:
        each.hand_over(delivered(OrderCreated()))
    await eventually(lambda: all(each.settled for each in transport.consumptions))
    await asyncio.wait_for(running.stop(), 5)
    assert ended == ["works"]
    told = {line["service"]: line["error"] for line in logs if line["event"] == "dependency.cleanup_failed"}
    assert told == {"fails": "ConnectionError: cannot close", "hangs": "not within 0.1 s"}
