"""History to one subscription again: what was not handled, or all of it once more."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio

from eventbus import Bus, Context, Service, subscribe
from eventbus.errors import TopologyError
from eventbus.replay import InvalidReplay, NoSuchReplay, ReplayRequest, ReplayRunning, Replays
from eventbus.transport import Message
from tests.integration.history.events import Booked, Closed, bookings
from tests.support.eventually import eventually

LEDGER = ReplayRequest("bank.ledger")


class Bank:
    """Two subscriptions, and how often each has handled which booking."""

    def __init__(self) -> None:
        self.ledger: Counter[int] = Counter()
        self.audit: Counter[int] = Counter()
        self.replays: list[str | None] = []

        @subscribe(Booked)
        async def ledger(event: Booked, context: Context) -> None:
            self.ledger[event.number] += 1
            self.replays.append(context.replay)

        @subscribe("account.#")
        async def audit(event: dict[str, Any]) -> None:
            self.audit[event.get("number", -1)] += 1

        self.service = Service("bank", [ledger, audit])


@pytest.fixture
def bank() -> Bank:
    return Bank()


@pytest_asyncio.fixture
async def replays(bus: Bus) -> Replays:
    return await bus.replays()


def has_sent(replays: Replays, replay_id: str, count: int) -> Callable[[], Awaitable[bool]]:
    async def found() -> bool:
        return (await replays.find(replay_id)).sent >= count

    return found


async def test_a_replay_repairs_what_was_not_handled_and_nothing_else(bus: Bus, replays: Replays, bank: Bank):
    await bus.publish_many(bookings(20))  # before the subscriptions are there
    async with bus.running(bank.service):
        await bus.publish_many(bookings(20, 20))
        await eventually(lambda: len(bank.ledger) == 20, within=20)

        done = await replays.run(await replays.prepare(LEDGER))
        await eventually(lambda: len(bank.ledger) == 40, within=20)

        assert (done.state, done.sent, done.is_whole) == ("done", 40, True)
        assert set(bank.ledger.values()) == {1}
        assert Counter(bank.replays) == {None: 20, done.id: 20}
        assert sorted(bank.audit) == list(range(20, 40))


async def test_a_replay_that_says_so_has_everything_handled_once_more_each_time(
    bus: Bus, replays: Replays, bank: Bank
):
    async with bus.running(bank.service):
        await bus.publish_many(bookings(20))
        await eventually(lambda: bank.ledger.total() == 20, within=20)
        for times in (2, 3):
            await replays.run(await replays.prepare(replace(LEDGER, reprocess=True)))
            await eventually(lambda times=times: bank.ledger.total() == 20 * times, within=20)

        assert set(bank.ledger.values()) == {3}
        assert set(bank.audit.values()) == {1}


async def test_a_replay_can_be_of_a_period_and_of_some_types(bus: Bus, replays: Replays, bank: Bank):
    noon = datetime(2026, 2, 15, 12, tzinfo=UTC)
    hour = timedelta(hours=1)
    await bus.transport.apply(bank.service.topology)
    for number in range(5):
        await bus.publish_many(bookings(1, number, at=noon + number * hour))
    await bus.publish(Closed(account=1))
    period = ReplayRequest("bank.audit", since=noon + hour, until=noon + 3 * hour)

    counted, types = await replays.count(await replays.prepare(period))
    assert (counted.sent, types) == (2, {"account.booked": 2})
    _, types = await replays.count(
        await replays.prepare(ReplayRequest("bank.audit", types=("account.closed",)))
    )
    assert types == {"account.closed": 1}
    _, types = await replays.count(await replays.prepare(LEDGER))
    assert types == {"account.booked": 5}
    assert (await bus.transport.stats(["bank.audit"]))[0].ready == 6  # counting has sent nothing


async def test_what_cannot_be_read_is_counted_and_left_out(bus: Bus, replays: Replays, bank: Bank):
    await bus.transport.apply(bank.service.topology)
    await bus.publish_many(bookings(3))
    await bus.transport.send([Message(b"\xff no event", "account.booked")], timeout=5)
    await bus.publish_many(bookings(3, 3))

    done = await replays.run(await replays.prepare(LEDGER))

    assert (done.state, done.sent, done.unreadable, done.is_whole) == ("done", 6, 1, False)


async def test_a_replay_is_paused_and_goes_on_where_it_was(bus: Bus, replays: Replays, bank: Bank):
    await bus.publish_many(bookings(3000))
    await bus.transport.apply(bank.service.topology)
    prepared = await replays.prepare(replace(LEDGER, rate=1000))
    running = asyncio.create_task(replays.run(prepared))

    await eventually(has_sent(replays, prepared.id, 200), within=20, despite=NoSuchReplay)
    await replays.pause(prepared.id)
    paused = await running
    assert paused.state == "paused"
    assert 0 < paused.sent < 3000
    assert (await replays.find(prepared.id)).state == "paused"

    done = await replays.resume(prepared.id)

    assert (done.state, done.read, done.is_whole) == ("done", 3000, True)
    assert (await bus.transport.stats(["bank.ledger"]))[0].ready == done.sent >= 3000
    with pytest.raises(InvalidReplay, match="is done"):
        await replays.resume(prepared.id)


async def test_a_replay_is_cancelled_while_it_runs_and_while_it_does_not(
    bus: Bus, replays: Replays, bank: Bank
):
    await bus.publish_many(bookings(2000))
    await bus.transport.apply(bank.service.topology)
    prepared = await replays.prepare(replace(LEDGER, rate=500))
    running = asyncio.create_task(replays.run(prepared))
    await eventually(has_sent(replays, prepared.id, 100), within=20, despite=NoSuchReplay)
    await replays.cancel(prepared.id)
    assert (await running).state == "cancelled"

    other = await replays.prepare(replace(LEDGER, rate=500))
    running = asyncio.create_task(replays.run(other))
    await eventually(has_sent(replays, other.id, 100), within=20, despite=NoSuchReplay)
    running.cancel()
    await asyncio.wait({running})
    assert (await replays.find(other.id)).state == "interrupted"
    assert (await replays.cancel(other.id)).state == "cancelled"
    assert [each.state for each in await replays.all()] == ["cancelled", "cancelled"]


async def test_a_second_replay_of_a_subscription_is_refused_while_one_runs(
    bus: Bus, replays: Replays, bank: Bank
):
    await bus.publish_many(bookings(1000))
    await bus.transport.apply(bank.service.topology)
    first = await replays.prepare(replace(LEDGER, rate=200))
    running = asyncio.create_task(replays.run(first))
    await eventually(has_sent(replays, first.id, 40), within=20, despite=NoSuchReplay)

    with pytest.raises(ReplayRunning, match=first.id):
        await replays.run(await replays.prepare(LEDGER))
    await replays.run(await replays.prepare(ReplayRequest("bank.audit")))

    await replays.cancel(first.id)
    await running


@pytest.mark.parametrize(
    ("request_", "told"),
    [
        (replace(LEDGER, since=datetime(2999, 1, 1, tzinfo=UTC)), "in the future"),
        (replace(LEDGER, until=datetime(2999, 1, 1, tzinfo=UTC)), "in the future"),
        (replace(LEDGER, since=datetime(2026, 1, 1)), "no time zone"),  # noqa: DTZ001  that is the point
        (
            replace(LEDGER, since=datetime(2026, 1, 2, tzinfo=UTC), until=datetime(2026, 1, 1, tzinfo=UTC)),
            "not before",
        ),
        (replace(LEDGER, rate=0), "events a second"),
        (replace(LEDGER, rate=float("inf")), "events a second"),
        (replace(LEDGER, rate=1e-300), "events a second"),
    ],
)
async def test_a_replay_that_makes_no_sense_is_refused(
    bus: Bus, replays: Replays, bank: Bank, request_: ReplayRequest, told: str
):
    await bus.transport.apply(bank.service.topology)
    with pytest.raises(InvalidReplay, match=told):
        await replays.prepare(request_)


async def test_a_replay_to_nobody_is_refused(replays: Replays):
    with pytest.raises(TopologyError, match=r"bank\.ledger"):
        await replays.prepare(LEDGER)
    with pytest.raises(NoSuchReplay, match="rpl_7"):
        await replays.resume("rpl_7")
