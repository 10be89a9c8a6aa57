"""What arrives together is claimed together, handled meanwhile, and remembered together before its acks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from eventbus import Batch, Event, RetryPolicy, subscribe, subscriber
from eventbus.claims import Claims
from eventbus.once import Once
from eventbus.outcome import Ack, RetryAfter
from eventbus.store import InboxKey
from eventbus.subscriber import Subscriber
from eventbus.transport import Delivery
from tests.support.eventually import eventually
from tests.support.handling import Bench, delivered, wrapped
from tests.support.scripted import ScriptedConsumption, ScriptedTransport
from tests.support.scripted_inbox import ScriptedInbox


class OrderCreated(Event, type="order.created"):
    order_id: int


class Scene:
    """One subscription that asks a scripted inbox."""

    def __init__(self) -> None:
        self.inbox = ScriptedInbox()
        self.handled: list[int] = []
        self.may_handle = asyncio.Event()
        self.may_handle.set()
        self.transport = ScriptedTransport()

    async def handle(self, event: OrderCreated) -> None:
        await self.may_handle.wait()
        self.handled.append(event.order_id)

    async def handle_batch(self, events: list[OrderCreated]) -> None:
        self.handled += [event.order_id for event in events]

    @asynccontextmanager
    async def consuming(self, *, concurrency: int, batch: Batch | None = None) -> AsyncGenerator[None]:
        claims = Claims(self.inbox, keep=timedelta(days=7))
        claims.start()
        handler = subscribe(
            OrderCreated,
            name="handler",
            concurrency=concurrency,
            batch=batch,
            retry=RetryPolicy(first=1.0, jitter=False),
        )(self.handle_batch if batch else self.handle)
        bench = Bench(handler, admission=Once(claims, "shop.handler"))
        subscribing = Subscriber(bench.member, bench.pipeline, self.transport.as_transport())
        running = asyncio.create_task(subscribing.run())
        await asyncio.wait_for(subscribing.ready.wait(), 5)
        yield
        await subscribing.stop()
        await asyncio.wait_for(running, 5)
        await asyncio.wait_for(claims.stop(), 5)

    @property
    def consumption(self) -> ScriptedConsumption:
        """The newest."""
        return self.transport.consumptions[-1]

    @property
    def acked(self) -> int:
        return sum(isinstance(outcome, Ack) for _, outcome in self.consumption.settled)


@pytest.fixture
def scene() -> Scene:
    return Scene()


def order(number: int) -> Delivery:
    return delivered(wrapped(OrderCreated(order_id=number), event_id=f"evt_{number}"))


def key(number: int) -> InboxKey:
    return InboxKey("shop.handler", f"evt_{number}")


async def test_they_are_one_question_before_and_one_after(scene: Scene):
    async with scene.consuming(concurrency=2):
        scene.consumption.hand_over(*map(order, range(20)))
        await eventually(lambda: scene.acked == 20)
    assert scene.inbox.exchanges == [
        {"claim": [key(number) for number in range(20)]},
        {"complete": [key(number) for number in range(20)]},
    ]


async def test_nothing_is_acked_before_the_inbox_knows_and_no_handler_waits_for_that(scene: Scene):
    scene.may_handle.clear()
    async with scene.consuming(concurrency=1):
        scene.consumption.hand_over(*map(order, range(3)))
        await eventually(lambda: scene.inbox.exchanges)
        scene.inbox.answering.clear()
        scene.may_handle.set()
        await eventually(lambda: any("complete" in asked for asked in scene.inbox.exchanges))

        assert scene.handled == [0, 1, 2]
        assert scene.acked == 0

        scene.inbox.answering.set()
        await eventually(lambda: scene.acked == 3)


async def test_what_another_process_handles_holds_up_no_other(scene: Scene):
    scene.inbox.held = {key(0), key(2)}
    async with scene.consuming(concurrency=2):
        scene.consumption.hand_over(*map(order, range(5)))
        await eventually(lambda: scene.acked == 3)
        assert sorted(scene.handled) == [1, 3, 4]

        scene.inbox.held = set()
        await eventually(lambda: scene.acked == 5)
    assert sorted(scene.handled) == [0, 1, 2, 3, 4]


async def test_one_at_a_time_it_holds_up_what_came_after_it(scene: Scene):
    scene.inbox.held = {key(1), key(3)}
    async with scene.consuming(concurrency=1):
        scene.consumption.hand_over(*map(order, range(5)))
        await eventually(lambda: scene.acked == 1)
        scene.inbox.held = {key(3)}
        await eventually(lambda: scene.acked == 3)
        assert scene.handled == [0, 1, 2]

        scene.inbox.held = set()
        await eventually(lambda: scene.acked == 5)
    assert scene.handled == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("concurrency", [1, 2])
async def test_two_copies_that_arrive_together_are_handled_once_and_both_acked(
    scene: Scene, concurrency: int
):
    async with scene.consuming(concurrency=concurrency):
        scene.consumption.hand_over(order(0), order(0), order(1))
        await eventually(lambda: scene.acked == 3)
    assert sorted(scene.handled) == [0, 1]


@pytest.mark.parametrize("concurrency", [1, 2])
async def test_what_nobody_has_taken_at_a_stop_is_anybodys(scene: Scene, concurrency: int):
    scene.may_handle.clear()
    scene.inbox.held = {key(7)}
    async with scene.consuming(concurrency=concurrency):
        scene.consumption.hand_over(*map(order, range(9)))
        await eventually(lambda: sum("claim" in asked for asked in scene.inbox.exchanges) > 1)
        asyncio.get_running_loop().call_later(0.05, scene.may_handle.set)

    released = {each for asked in scene.inbox.exchanges for each in asked.get("release", ())}
    assert released == {key(number) for number in range(9)} - {key(each) for each in scene.handled} - {key(7)}
    assert scene.acked == len(scene.handled) >= 1


async def test_what_the_inbox_cannot_remember_is_retried(scene: Scene, monkeypatch: pytest.MonkeyPatch):
    async with scene.consuming(concurrency=2):
        scene.may_handle.clear()
        scene.consumption.hand_over(order(0))
        await eventually(lambda: scene.inbox.exchanges)

        async def broken(**_: object) -> None:
            raise ZeroDivisionError

        monkeypatch.setattr(scene.inbox, "exchange", broken)
        scene.may_handle.set()
        await eventually(lambda: scene.consumption.settled)
        monkeypatch.undo()

    ((_, outcome),) = scene.consumption.settled
    assert isinstance(outcome, RetryAfter)
    assert "ZeroDivisionError" in outcome.error


async def test_a_batch_that_was_being_filled_when_consuming_failed_is_handled_when_it_comes_again(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(subscriber, "PAUSE_AFTER_TROUBLE", 0.01)
    async with scene.consuming(concurrency=2, batch=Batch(size=3, within=60)):
        scene.consumption.hand_over(order(0), order(1))
        await eventually(lambda: scene.inbox.exchanges)
        scene.consumption.fail(ConnectionError("lost"))
        await eventually(lambda: len(scene.transport.consumptions) == 2)
        scene.consumption.hand_over(*map(order, range(3)))
        await eventually(lambda: scene.acked == 3)
    assert scene.handled == [0, 1, 2]
