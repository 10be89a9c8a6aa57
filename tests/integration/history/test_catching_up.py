"""A subscription that is new handles what was published before it existed, and then goes live."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from eventbus import Bus, RetryPolicy, Service, subscribe
from eventbus.errors import InvalidSubscription
from eventbus.settings import Settings
from tests.conformance import sizes
from tests.integration.history.events import Booked, Closed, bookings
from tests.support.eventually import eventually

Numbers = dict[int, list[int]]
"""By account, in the order in which they were handled."""


def totals(handled: Numbers, *, start: Any = "beginning", **options: Any) -> Service:
    @subscribe(Booked, start=start, **options)
    async def total(event: Booked) -> None:
        await asyncio.sleep(0)
        handled[event.account].append(event.number)

    return Service("analytics", [total])


def in_order(count: int, accounts: int = 10) -> Numbers:
    return {account: list(range(account, count, accounts)) for account in range(accounts)}


@pytest.mark.timeout(sizes.TEST_TIMEOUT)
async def test_a_late_subscription_handles_everything_once_in_the_order_of_each_key_while_more_is_published(
    url: str,
):
    """With one event at a time also what it takes from its queue comes in order."""
    handled: Numbers = defaultdict(list)
    in_all = sizes.HISTORY + sizes.EVENTS_WHILE_CATCHING_UP
    patience = 30.0 + in_all / 200
    async with Bus(url, source="test") as bus, Bus(url, source="other") as other:
        for begin in range(0, sizes.HISTORY, 5000):
            await bus.publish_many(bookings(min(5000, sizes.HISTORY - begin), begin))

        async def go_on() -> None:
            for begin in range(sizes.HISTORY, in_all, 20):
                await other.publish_many(bookings(20, begin), timeout=30)
                await asyncio.sleep(0.02)

        async with bus.running(totals(handled, concurrency=1, prefetch=200)):
            await go_on()
            await eventually(lambda: sum(map(len, handled.values())) >= in_all, within=patience)

    assert handled == in_order(in_all)


async def test_history_is_handled_in_the_order_of_each_key_however_many_are_handled_side_by_side(url: str):
    handled: Numbers = defaultdict(list)
    async with Bus(url, source="test") as bus:
        await bus.publish_many(bookings(200))
        await bus.publish_many([Closed(account=1)])
        async with bus.running(totals(handled)):
            for begin in range(200, 300, 10):
                await bus.publish_many(bookings(10, begin))
            await eventually(lambda: sum(map(len, handled.values())) >= 300, within=30)
            await bus.publish_many(bookings(10, 300))
            await eventually(lambda: sum(map(len, handled.values())) >= 310, within=30)

        assert {account: sorted(numbers) for account, numbers in handled.items()} == in_order(310)
        assert {account: numbers[:20] for account, numbers in handled.items()} == in_order(200)


async def test_a_subscription_that_has_caught_up_does_not_begin_again(url: str):
    handled: Numbers = defaultdict(list)
    async with Bus(url, source="test") as bus:
        await bus.publish_many(bookings(20))
        async with bus.running(totals(handled)):
            await eventually(lambda: sum(map(len, handled.values())) >= 20, within=30)
        await bus.publish_many(bookings(20, 20))
        async with bus.running(totals(handled)):
            await eventually(lambda: sum(map(len, handled.values())) >= 40, within=30)

        assert {account: sorted(numbers) for account, numbers in handled.items()} == in_order(40)


async def test_a_subscription_that_was_there_before_is_not_new(url: str):
    handled: Numbers = defaultdict(list)
    async with Bus(url, source="test") as bus:
        await bus.publish_many(bookings(10))
        async with bus.running(totals(handled, start="new")):
            await bus.publish_many(bookings(10, 10))
            await eventually(lambda: sum(map(len, handled.values())) >= 10, within=30)
        async with bus.running(totals(handled)):
            await bus.publish_many(bookings(10, 20))
            await eventually(lambda: sum(map(len, handled.values())) >= 20, within=30)

        assert sorted(number for numbers in handled.values() for number in numbers) == list(range(10, 30))


async def test_a_subscription_can_begin_at_a_time(url: str):
    handled: Numbers = defaultdict(list)
    then = datetime(2026, 2, 15, 12, tzinfo=UTC)
    async with Bus(url, source="test") as bus:
        await bus.publish_many([*bookings(10, at=then - timedelta(seconds=1)), *bookings(10, 10, at=then)])
        async with bus.running(totals(handled, start=then)):
            await bus.publish_many(bookings(10, 20))
            await eventually(lambda: sum(map(len, handled.values())) >= 20, within=30)

        assert sorted(number for numbers in handled.values() for number in numbers) == list(range(10, 30))


async def test_what_fails_in_history_is_retried_and_given_up_as_ever(url: str):
    tried: dict[int, int] = defaultdict(int)

    @subscribe(Booked, start="beginning", retry=RetryPolicy(max_attempts=2, first=0.1, jitter=False))
    async def total(event: Booked) -> None:
        tried[event.number] += 1
        if event.number == 3 or (event.number == 5 and tried[5] == 1):
            raise ValueError("no such account")

    async with Bus(url, source="test") as bus:
        await bus.publish_many(bookings(10))
        async with bus.running(Service("analytics", [total])):
            await eventually(lambda: sum(tried.values()) >= 12, within=30)

            async def dead() -> list[Any]:
                return list(await bus.transport.dead_letters("analytics.total", limit=10))

            (letter,) = await eventually(dead, within=30)

        assert tried == {n: 2 if n in (3, 5) else 1 for n in range(10)}
        assert (letter.attempts, letter.reason, letter.message.routing_key) == (
            2,
            "exhausted",
            "account.booked",
        )


async def test_a_stop_in_the_middle_of_history_goes_on_where_it_was(url: str):
    handled: Numbers = defaultdict(list)
    async with Bus(url, source="test") as bus:
        await bus.publish_many(bookings(3000))
        async with bus.running(totals(handled, concurrency=5)):
            await eventually(lambda: sum(map(len, handled.values())) >= 500, within=30)
        before = sum(map(len, handled.values()))
        assert before < 3000
        async with bus.running(totals(handled, concurrency=5)):
            await eventually(lambda: sum(map(len, handled.values())) >= 3000, within=60)

        assert handled == in_order(3000)


async def test_a_store_that_cannot_keep_how_far_it_is_is_refused(url: str):
    async with Bus(url, source="test", settings=Settings(url=url, store="memory://")) as bus:
        with pytest.raises(InvalidSubscription, match="starts in the past"):
            async with bus.running(totals(defaultdict(list))):
                pass
