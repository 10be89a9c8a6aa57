"""What is in the outbox reaches the broker, in the order of its keys, whatever the broker does meanwhile."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import cast

import pytest

from eventbus.errors import BrokerUnreachable, PublishRefused
from eventbus.outbox import Relay
from eventbus.store import Outbox, StoreUnavailable, Taken
from eventbus.stores.opening import store_for
from eventbus.transport import Message
from tests.support.eventually import eventually
from tests.support.picky import PickyTransport


@pytest.fixture
async def outbox() -> AsyncIterator[Outbox]:
    store = store_for("sqlite://:memory:")
    await store.open()
    assert store.outbox is not None
    yield store.outbox
    await store.close()


@pytest.fixture
def broker() -> PickyTransport:
    return PickyTransport()


def relay_of(outbox: Outbox, broker: PickyTransport, *, batch: int = 500, timeout: float = 5.0) -> Relay:
    return Relay(outbox, broker.as_transport(), where="test", batch=batch, timeout=timeout, draw=lambda: 0.0)


@asynccontextmanager
async def running(relay: Relay) -> AsyncIterator[Relay]:
    await relay.start()
    try:
        yield relay
    finally:
        await relay.stop()


async def put(outbox: Outbox, *event_ids: str, delay: float = 0.0) -> None:
    """The key of each is what stands before the dash."""
    messages = [Message(b"{}", "order.created", event_id=each, delay=delay) for each in event_ids]
    await outbox.put(messages, [each.partition("-")[0] if "-" in each else None for each in event_ids])


async def left(outbox: Outbox) -> list[str | None]:
    async with outbox.take(1000) as taken:
        return [entry.message.event_id for entry in taken.entries]


async def test_what_was_put_before_and_after_it_started_is_sent_in_order(
    outbox: Outbox, broker: PickyTransport
):
    await put(outbox, "1", "2")
    async with running(relay_of(outbox, broker)):
        await eventually(lambda: broker.has == ["1", "2"])
        await put(outbox, "3")
        await eventually(lambda: broker.has == ["1", "2", "3"])
    assert await left(outbox) == []


async def test_it_sends_in_batches(outbox: Outbox, broker: PickyTransport):
    await put(outbox, "1", "2", "3", "4", "5")
    assert await relay_of(outbox, broker, batch=2).drain() == 0
    assert broker.calls == [["1", "2"], ["3", "4"], ["5"]]


async def test_what_is_left_of_a_delay_travels_on(outbox: Outbox, broker: PickyTransport):
    await put(outbox, "1", delay=100.0)
    await relay_of(outbox, broker).drain()
    assert 95.0 < broker.delays["1"] <= 100.0


async def test_while_the_broker_is_away_everything_stays_and_is_sent_when_it_is_back(
    outbox: Outbox, broker: PickyTransport, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.WARNING)
    broker.is_away = True
    await put(outbox, "1", "2")
    async with running(relay_of(outbox, broker)):
        await eventually(lambda: len(broker.calls) >= 3)
        assert broker.has == []
        broker.is_away = False
        await eventually(lambda: broker.has == ["1", "2"])
    actions = [record.getMessage().partition(" ")[0] for record in caplog.records]
    assert actions == ["relay.waiting", "relay.resumed"]


async def test_its_pauses_grow_while_the_broker_is_away(outbox: Outbox, broker: PickyTransport):
    broker.is_away = True
    await put(outbox, "1")
    async with running(relay_of(outbox, broker)):
        began = time.monotonic()
        await eventually(lambda: len(broker.calls) == 4)
    assert 0.2 + 0.4 + 0.8 <= time.monotonic() - began < 5


async def test_one_event_asks_whether_the_broker_is_back(outbox: Outbox, broker: PickyTransport):
    broker.is_away = True
    await put(outbox, "1", "2", "3")
    async with running(relay_of(outbox, broker)):
        await eventually(lambda: len(broker.calls) >= 3)
        broker.is_away = False
        await eventually(lambda: broker.has == ["1", "2", "3"])
    assert broker.calls[0] == ["1", "2", "3"]
    assert broker.calls[1:-1] == [["1"]] * (len(broker.calls) - 2)
    assert broker.calls[-1] == ["2", "3"]


class ComingAndGoing:
    """The outbox of a database that is away for the first few questions."""

    def __init__(self, outbox: Outbox, away: int) -> None:
        self._outbox = outbox
        self._away = away

    def take(self, limit: int) -> AbstractAsyncContextManager[Taken]:
        self._away -= 1
        if self._away >= 0:
            raise StoreUnavailable("test", "connection refused")
        return self._outbox.take(limit)

    async def changed(self, *, within: float) -> None:
        await self._outbox.changed(within=within)


async def test_a_store_that_goes_away_is_waited_for(
    outbox: Outbox, broker: PickyTransport, caplog: pytest.LogCaptureFixture
):
    await put(outbox, "1")
    coming = cast("Outbox", ComingAndGoing(outbox, 3))
    async with running(relay_of(coming, broker)):
        await eventually(lambda: broker.has == ["1"])
    actions = [record.getMessage().partition(" ")[0] for record in caplog.records]
    assert actions == ["relay.waiting", "relay.resumed"]


async def test_what_was_confirmed_before_a_failure_is_not_sent_again(outbox: Outbox, broker: PickyTransport):
    broker.is_away, broker.confirms_before_it_fails = True, {"1", "3"}
    await put(outbox, "1", "2", "3", "4")
    with pytest.raises(BrokerUnreachable):
        await relay_of(outbox, broker).drain()
    assert await left(outbox) == ["2", "4"]


async def test_an_outcome_that_is_unknown_is_sent_again(outbox: Outbox, broker: PickyTransport):
    broker.is_silent = True
    await put(outbox, "1")
    async with running(relay_of(outbox, broker, timeout=0.1)):
        await eventually(lambda: broker.calls)
        broker.is_silent = False
        before = len(broker.has)
        await eventually(lambda: len(broker.has) > before)
    assert set(broker.has) == {"1"}
    assert await left(outbox) == []


@pytest.mark.parametrize("how", ["refused", "invalid"])
async def test_an_entry_that_is_refused_stays_and_does_not_stop_the_others(
    outbox: Outbox, broker: PickyTransport, how: str, caplog: pytest.LogCaptureFixture
):
    getattr(broker, how).add("2")
    await put(outbox, "1", "2", "3")
    assert await relay_of(outbox, broker).drain() == 1
    assert sorted(broker.has) == ["1", "3"]
    assert await left(outbox) == ["2"]
    assert "relay.refused store=test events=1 event_id=2 event_type=order.created" in caplog.text


async def test_later_events_of_its_key_wait_behind_one_that_is_refused(
    outbox: Outbox, broker: PickyTransport
):
    broker.invalid = {"a-1"}
    await put(outbox, "a-1", "a-2", "b-1", "a-3")
    relay = relay_of(outbox, broker)
    assert await relay.drain() == 3
    await put(outbox, "a-4", "b-2")
    assert await relay.drain() == 4
    assert broker.has == ["b-1", "b-2"]
    assert await left(outbox) == ["a-1", "a-2", "a-3", "a-4"]


async def test_when_it_is_refused_no_more_its_key_follows_in_order(outbox: Outbox, broker: PickyTransport):
    broker.invalid = {"a-1"}
    await put(outbox, "a-1", "a-2", "b-1", "a-3")
    async with running(relay_of(outbox, broker)):
        await eventually(lambda: broker.has == ["b-1"])
        broker.invalid = set()
        await eventually(lambda: broker.has == ["b-1", "a-1", "a-2", "a-3"])
    assert await left(outbox) == []


async def test_more_refused_entries_than_a_batch_holds_do_not_stop_the_others(
    outbox: Outbox, broker: PickyTransport
):
    bad = [f"bad{number}" for number in range(10)]
    broker.refused = set(bad)
    await put(outbox, *bad, "good")
    assert await relay_of(outbox, broker, batch=4).drain() == 10
    assert broker.has == ["good"]


async def test_one_that_is_refused_is_tried_alone_ever_after(outbox: Outbox, broker: PickyTransport):
    broker.refused = {"1"}
    await put(outbox, "1")
    async with running(relay_of(outbox, broker)):
        await eventually(lambda: broker.calls)
        await put(outbox, "2", "3")
        await eventually(lambda: broker.calls.count(["1"]) >= 3, within=10)
    assert ["2", "3"] in broker.calls
    assert broker.has == ["2", "3"]


async def test_a_broker_that_refuses_everything_is_not_asked_for_each(outbox: Outbox, broker: PickyTransport):
    many = [f"{number}" for number in range(200)]
    broker.refused = set(many)
    await put(outbox, *many)
    with pytest.raises(PublishRefused):
        await relay_of(outbox, broker).drain()
    assert len(broker.calls) < 60


async def test_stopping_finishes_the_batch_in_hand(outbox: Outbox, broker: PickyTransport):
    broker.sending.clear()
    await put(outbox, "1")
    relay = relay_of(outbox, broker)
    await relay.start()
    await eventually(lambda: broker.calls)
    stopping = asyncio.create_task(relay.stop())
    await asyncio.sleep(0.05)
    broker.sending.set()
    await stopping
    assert (broker.has, await left(outbox)) == (["1"], [])


async def test_stopping_takes_no_longer_than_its_bound_and_loses_nothing(
    outbox: Outbox, broker: PickyTransport
):
    broker.sending.clear()
    await put(outbox, "1")
    relay = relay_of(outbox, broker, timeout=60)
    await relay.start()
    await eventually(lambda: broker.calls)
    async with asyncio.timeout(10):
        await relay.stop(within=0.1)
    assert await left(outbox) == ["1"]


async def test_stopping_while_the_broker_is_away_takes_no_time_and_loses_nothing(
    outbox: Outbox, broker: PickyTransport
):
    broker.is_away = True
    await put(outbox, "1", "2")
    relay = relay_of(outbox, broker, timeout=60)
    await relay.start()
    await eventually(lambda: broker.calls)
    broker.sending.clear()
    broker.is_away = False
    await eventually(lambda: len(broker.calls) > 1)
    async with asyncio.timeout(10):
        await relay.stop(within=60)
    assert await left(outbox) == ["1", "2"]


async def test_stopping_an_idle_relay_takes_no_time(outbox: Outbox, broker: PickyTransport):
    await put(outbox, "1")
    relay = relay_of(outbox, broker)
    await relay.start()
    await eventually(lambda: broker.has)
    await asyncio.sleep(0.1)
    async with asyncio.timeout(10):
        await relay.stop(within=60)


async def test_draining_beside_the_running_relay_returns_when_all_is_sent(
    outbox: Outbox, broker: PickyTransport
):
    async with running(relay_of(outbox, broker)) as relay:
        for number in range(20):
            await put(outbox, str(number))
            await relay.drain()
            assert broker.has[-1] == str(number)
