"""A subscription whose queue is refused, or that finds no broker: what is told, and how often it tries."""

from __future__ import annotations

import asyncio

import pytest
import structlog

from eventbus import Event, subscribe, subscriber
from eventbus.errors import BrokerUnreachable, TopologyError
from eventbus.subscriber import Subscriber
from tests.support.eventually import eventually
from tests.support.handling import Bench
from tests.support.scripted import ScriptedTransport


class OrderCreated(Event, type="order.created"):
    pass


@subscribe(OrderCreated)
async def handler(event: OrderCreated) -> None: ...


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscriber, "PAUSE_AFTER_TROUBLE", 0.01)


def subscriber_to(transport: ScriptedTransport) -> Subscriber:
    bench = Bench(handler)
    return Subscriber(bench.member, bench.pipeline, transport.as_transport())


def refusal() -> TopologyError:
    return TopologyError("queue shop.handler", "has other arguments")


async def test_a_refused_queue_is_told_once_and_tried_again_ever_more_seldom(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(subscriber, "LONGEST_PAUSE", 0.03)
    transport = ScriptedTransport()
    transport.consume_errors = [refusal() for _ in range(4)]
    with structlog.testing.capture_logs() as logs:
        subscribing = subscriber_to(transport)
        task = asyncio.create_task(subscribing.run())
        await asyncio.wait_for(subscribing.tried.wait(), 5)
        assert not subscribing.ready.is_set()
        pauses = await pauses_until_ready(subscribing)
        await subscribing.stop()
        await task
    assert pauses == [0.01, 0.02, 0.03]
    assert [line["event"] for line in logs] == ["subscription.failed"]


async def test_when_it_has_consumed_again_the_next_refusal_is_told_again_and_begins_with_a_short_pause():
    transport = ScriptedTransport()
    transport.consume_errors = [refusal(), refusal(), refusal()]
    with structlog.testing.capture_logs() as logs:
        subscribing = subscriber_to(transport)
        task = asyncio.create_task(subscribing.run())
        await pauses_until_ready(subscribing)
        assert subscribing._pause_length == subscriber.PAUSE_AFTER_TROUBLE
        transport.consume_errors = [refusal()]
        transport.consumptions[0].fail(ConnectionError("lost"))
        await eventually(lambda: len(transport.consumptions) == 2)
        await subscribing.stop()
        await task
    told = [line["error"] for line in logs if line["event"] == "subscription.failed"]
    assert [error.startswith("TopologyError") for error in told] == [True, False, True]


async def test_a_broker_that_is_away_is_no_answer_and_its_pauses_stay_short():
    transport = ScriptedTransport()
    transport.consume_errors = [BrokerUnreachable("scripted:", "away") for _ in range(3)]
    subscribing = subscriber_to(transport)
    transport.may_consume.clear()
    task = asyncio.create_task(subscribing.run())
    transport.may_consume.set()
    assert set(await pauses_until_ready(subscribing)) == {0.01}
    await subscribing.stop()
    await task


async def test_what_ends_a_consumption_is_told_as_what_it_is():
    transport = ScriptedTransport()
    with structlog.testing.capture_logs() as logs:
        subscribing = subscriber_to(transport)
        task = asyncio.create_task(subscribing.run())
        await eventually(lambda: len(transport.consumptions) == 1)
        transport.consumptions[0].fail(BrokerUnreachable("scripted:", "away"))
        await eventually(lambda: len(transport.consumptions) == 2)
        transport.consumptions[1].fail(ValueError("odd"))
        await eventually(lambda: len(transport.consumptions) == 3)
        await subscribing.stop()
        await task
    told = [line for line in logs if line["event"] == "subscription.failed"]
    assert [line["error"].split(":")[0] for line in told] == ["BrokerUnreachable", "ValueError"]
    assert ["exc_info" in line for line in told] == [False, True]


async def pauses_until_ready(subscribing: Subscriber) -> list[float]:
    """Seconds, each of which it waits for next, without those that come twice in a row."""
    seen = [subscribing._pause_length]
    async with asyncio.timeout(5):
        while not subscribing.ready.is_set():
            await asyncio.sleep(0)
            if not subscribing.ready.is_set() and subscribing._pause_length != seen[-1]:
                seen.append(subscribing._pause_length)
    return seen
