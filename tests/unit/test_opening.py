"""A bus that opens beside other work, with a broker that is away, there, or wrong."""

from __future__ import annotations

import asyncio
import time

import pytest

from eventbus import Bus, Event, Service, subscribe
from eventbus.embedded import EmbeddedTransport
from eventbus.errors import BrokerUnreachable, ConfigurationError, EventBusError, TopologyError
from eventbus.settings import Settings
from eventbus.transport import Topology
from tests.support.eventually import eventually

NOBODY = "amqp://guest:hush@127.0.0.1:1/"


class OrderCreated(Event, type="order.created"):
    order_id: int


def bus(url: str = "sqlite://:memory:") -> Bus:
    return Bus(url, source="shop", settings=Settings())


async def test_where_the_broker_is_there_the_services_run_and_end_with_the_block():
    seen: list[int] = []

    @subscribe(OrderCreated)
    async def see(event: OrderCreated) -> None:
        seen.append(event.order_id)

    opened = bus()
    async with opened.opening(Service("shop", [see])) as opening:
        assert await opening.tried(within=5)
        assert (opening.is_ready, opening.problem) == (True, None)
        await opened.publish(OrderCreated(order_id=1))
        await eventually(lambda: seen == [1])

    with pytest.raises(EventBusError, match="not open"):
        await opened.publish(OrderCreated(order_id=2))


async def test_while_the_broker_is_away_it_is_not_ready_says_why_and_publishes_nothing():
    opened = bus(NOBODY)
    async with opened.opening() as opening:
        assert not await opening.tried(within=5)
        assert "127.0.0.1" in str(opening.problem)
        assert "hush" not in str(opening.problem)
        began = time.monotonic()
        with pytest.raises(BrokerUnreachable) as failed:
            await opened.publish(OrderCreated(order_id=1))
        assert failed.value.sent is False
        assert time.monotonic() - began < 0.5


async def test_before_the_first_try_has_ended_it_is_not_ready_either():
    opened = bus(NOBODY)
    async with opened.opening() as opening:
        assert (
            opening.problem == "cannot reach the broker at amqp://guest:***@127.0.0.1:1/: not connected yet"
        )
        with pytest.raises(BrokerUnreachable):
            await opened.publish(OrderCreated(order_id=1))


async def test_what_is_lost_between_two_steps_is_tried_again_at_that_step(monkeypatch: pytest.MonkeyPatch):
    tries = 0
    apply = EmbeddedTransport.apply

    async def away_twice(transport: EmbeddedTransport, topology: Topology) -> None:
        nonlocal tries
        tries += 1
        if tries <= 2:
            raise BrokerUnreachable(transport.url, "gone again")
        await apply(transport, topology)

    monkeypatch.setattr("eventbus.opening.FIRST_PAUSE", 0.01)
    monkeypatch.setattr(EmbeddedTransport, "apply", away_twice)
    opened = bus()
    async with opened.opening() as opening:
        await eventually(lambda: opening.is_ready)
        await opened.publish(OrderCreated(order_id=1))
    assert tries == 3


async def test_any_other_error_cancels_the_block_and_is_raised_from_it(monkeypatch: pytest.MonkeyPatch):
    async def refuse(_: EmbeddedTransport, __: Topology) -> None:
        raise TopologyError("exchange events", "is of another kind")

    monkeypatch.setattr(EmbeddedTransport, "apply", refuse)
    with pytest.raises(TopologyError):
        async with bus().opening():
            await asyncio.Event().wait()
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_a_url_that_cannot_work_is_no_reason_to_try_again():
    with pytest.raises(ConfigurationError):
        async with bus("sqlite:////nowhere/at/all.db").opening():
            await asyncio.Event().wait()


async def test_an_error_of_the_block_is_raised_as_it_is():
    with pytest.raises(ZeroDivisionError):
        async with bus(NOBODY).opening():
            raise ZeroDivisionError
