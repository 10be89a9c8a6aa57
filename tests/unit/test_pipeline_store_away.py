"""A store that goes away in the middle of a run: waited for, asked what became of it, and never a loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest

from eventbus import Batch, Context, Event, RetryPolicy, Transaction, once, subscribe
from eventbus.claims import Claims
from eventbus.context import Proceed
from eventbus.effect import ClaimLost
from eventbus.once import Ended, Everything, Once
from eventbus.outcome import Ack, DeadLetter, Reason, RetryAfter
from eventbus.service import Member
from eventbus.store import InboxKey, StoreUnavailable
from eventbus.transport import Delivery
from tests.support.eventually import eventually
from tests.support.handling import Bench, delivered, wrapped
from tests.support.scripted_inbox import ScriptedInbox


class OrderCreated(Event, type="order.created"):
    pass


def away() -> StoreUnavailable:
    return StoreUnavailable("postgresql://db", "it does not answer in time")


def order(event_id: str = "evt_1", attempt: int = 1) -> Delivery:
    return delivered(wrapped(OrderCreated(), event_id=event_id), attempt=attempt)


def key(event_id: str = "evt_1") -> InboxKey:
    return InboxKey("shop.handler", event_id)


def lost() -> ClaimLost:
    return ClaimLost("shop.handler", ["evt_1"])


class Failing:
    """A handler whose first runs fail for want of a store; `meanwhile` is done in each of them."""

    def __init__(
        self,
        failures: int,
        meanwhile: Callable[[], object] = lambda: None,
        error: Callable[[], Exception] = away,
    ) -> None:
        self.runs = 0
        self._failures = failures
        self._meanwhile = meanwhile
        self._error = error

    async def __call__(self, event: OrderCreated) -> None:
        await self.run()

    async def batch(self, events: list[OrderCreated]) -> None:
        await self.run()

    async def run(self) -> None:
        self.runs += 1
        if self.runs <= self._failures:
            self._meanwhile()
            raise self._error()


@pytest.fixture
def inbox() -> ScriptedInbox:
    return ScriptedInbox()


@asynccontextmanager
async def bench_of(
    inbox: ScriptedInbox, handler: Callable[..., Any], batch: Batch | None = None, **options: Any
) -> AsyncGenerator[Bench]:
    claims = Claims(inbox, keep=timedelta(days=7))
    claims.start()
    retry = RetryPolicy(max_attempts=3, jitter=False)
    subscription = subscribe(OrderCreated, name="handler", retry=retry, batch=batch)(handler)
    yield Bench(subscription, admission=Once(claims, "shop.handler"), **options)
    await asyncio.wait_for(claims.stop(), 5)


async def handled(bench: Bench, *deliveries: Delivery) -> list[Ended]:
    admitted = await bench.pipeline.admit(deliveries)
    return await asyncio.wait_for(bench.pipeline.handle(admitted.ready), 5)


async def test_what_fails_again_although_the_inbox_answers_is_retried_by_its_policy(inbox: ScriptedInbox):
    handler = Failing(1000)
    async with bench_of(inbox, handler) as bench:
        ((_, first, _),) = await handled(bench, order())
        assert handler.runs == 2
        assert isinstance(first, RetryAfter)
        assert (first.delay, first.away) == (2.0, True)

        bench.pipeline.release([Ended(order(), first, key())])
        ((_, last, _),) = await handled(bench, order(attempt=3))
    assert isinstance(last, DeadLetter)
    assert (last.reason, last.away) == (Reason.EXHAUSTED, True)


async def test_a_store_that_is_away_is_waited_for_and_takes_no_attempt(inbox: ScriptedInbox):
    def goes_away() -> None:
        inbox.is_away = True

    handler = Failing(1, goes_away)
    async with bench_of(inbox, handler) as bench:
        running = asyncio.create_task(handled(bench, order()))
        await eventually(lambda: len(inbox.exchanges) > 2)
        assert handler.runs == 1

        inbox.is_away = False
        ((_, outcome, _),) = await running
    assert (outcome, handler.runs) == (Ack(), 2)


async def test_what_the_store_has_committed_although_it_went_away_does_not_run_again(inbox: ScriptedInbox):
    handler = Failing(1, lambda: inbox.complete([key()]))
    async with bench_of(inbox, handler) as bench:
        ((_, outcome, _),) = await handled(bench, order())
    assert (outcome, handler.runs) == (Ack(), 1)


async def test_what_the_second_run_has_committed_is_no_failure(inbox: ScriptedInbox):
    handler = Failing(2, lambda: inbox.complete([key()] if handler.runs == 2 else []))
    async with bench_of(inbox, handler) as bench:
        ((_, outcome, _),) = await handled(bench, order())
    assert (outcome, handler.runs) == (Ack(), 2)


async def test_as_long_as_its_transaction_cannot_begin_a_handler_has_not_failed(
    inbox: ScriptedInbox, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(once, "PAUSE", 0.01)
    tries, runs = 0, 0

    async def handler(event: OrderCreated, transaction: Transaction) -> None:
        nonlocal runs
        runs += 1

    def store(_: Member, proceed: Proceed) -> Proceed:
        async def layer(context: Context) -> None:
            nonlocal tries
            tries += 1
            if tries < 6:
                raise away()
            context.transaction = object()
            await proceed(context)

        return layer

    async with bench_of(inbox, handler, middleware=[store]) as bench:
        ((_, outcome, _),) = await handled(bench, order())
    assert (outcome, tries, runs) == (Ack(), 6, 1)


async def test_what_another_process_took_over_meanwhile_is_waited_for(inbox: ScriptedInbox):
    def taken_over() -> None:
        inbox.held = {key()}

    handler = Failing(1, taken_over)
    async with bench_of(inbox, handler) as bench:
        running = asyncio.create_task(handled(bench, order()))
        await eventually(lambda: len(inbox.exchanges) > 3)
        assert not running.done()

        inbox.held = set()
        ((_, outcome, _),) = await running
    assert (outcome, handler.runs) == (Ack(), 2)


async def test_what_a_transaction_has_committed_that_gave_no_answer_is_no_claim_that_was_lost(
    inbox: ScriptedInbox,
):
    """The first one's COMMIT was carried out while the second one ran, and waited for its mark."""
    errors = iter([away(), lost()])
    handler = Failing(2, lambda: inbox.complete([key()] if handler.runs == 2 else []), lambda: next(errors))
    async with bench_of(inbox, handler) as bench:
        ((_, outcome, _),) = await handled(bench, order())
    assert (outcome, handler.runs) == (Ack(), 2)


async def test_a_claim_that_another_process_has_handled_costs_no_attempt(inbox: ScriptedInbox):
    def taken_over() -> None:
        inbox.held = {key()}

    handler = Failing(1000, taken_over, lost)
    async with bench_of(inbox, handler) as bench:
        running = asyncio.create_task(handled(bench, order()))
        await eventually(lambda: len(inbox.exchanges) > 3)
        inbox.held = set()
        inbox.complete([key()])
        ((_, outcome, _),) = await running
    assert (outcome, handler.runs) == (Ack(), 1)


async def test_a_claim_that_was_lost_and_is_nobody_s_is_retried_by_its_policy(inbox: ScriptedInbox):
    handler = Failing(1000, error=lost)
    async with bench_of(inbox, handler) as bench:
        ((_, outcome, _),) = await handled(bench, order())
    assert isinstance(outcome, RetryAfter)
    assert handler.runs == 1


async def test_of_a_batch_each_event_ends_as_the_store_knows_it(inbox: ScriptedInbox):
    handler = Failing(1000, lambda: inbox.complete([key("evt_2")]))
    async with bench_of(inbox, handler.batch, Batch(size=3, within=60)) as bench:
        ended = await handled(bench, *map(order, ("evt_1", "evt_2", "evt_3")))
    outcomes = {each.delivery.message.event_id: type(each.outcome) for each in ended}
    assert outcomes == {"evt_1": RetryAfter, "evt_2": Ack, "evt_3": RetryAfter}


@pytest.mark.parametrize("when", ["before", "while it waits"])
async def test_a_stop_hands_it_back(inbox: ScriptedInbox, when: str):
    def goes_away() -> None:
        inbox.is_away = True
        if when == "before":
            bench.pipeline.stop()

    handler = Failing(1000, goes_away)
    async with bench_of(inbox, handler) as bench:
        running = asyncio.create_task(handled(bench, order()))
        await eventually(lambda: handler.runs and (when == "before" or len(inbox.exchanges) > 1))
        bench.pipeline.stop()
        assert await running == []
    assert handler.runs == 1


async def test_a_stop_ends_the_pause_before_another_try_where_nothing_is_deduplicated(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(once, "PAUSE", 60)
    handler = Failing(1000)
    bench = Bench(subscribe(OrderCreated, name="handler")(handler), admission=Everything())
    running = asyncio.create_task(handled(bench, order()))
    await eventually(lambda: handler.runs)
    bench.pipeline.stop()
    assert await running == []
    assert handler.runs == 1
