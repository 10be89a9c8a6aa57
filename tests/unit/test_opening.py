"""A bus that opens beside other work, with a broker that is away, there, or wrong."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from contextlib import closing, suppress
from pathlib import Path

import pytest

from eventbus import Bus, Envelope, Event, Service, subscribe, subscriber
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


async def test_a_service_that_ended_with_its_block_may_be_made_anew_and_run_in_another():
    @subscribe(OrderCreated)
    async def see(event: OrderCreated) -> None: ...

    opened = bus()
    for _ in range(2):
        async with opened.opening(Service("shop", [see])) as opening:
            assert await opening.tried(within=5)


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
        assert time.monotonic() - began < 5


async def test_while_the_broker_has_not_been_reached_yet_what_is_kept_here_is_taken(tmp_path: Path):
    degraded: list[int] = []

    def call(envelope: Envelope[OrderCreated]) -> None:
        degraded.append(envelope.data.order_id)

    for on_unavailable, state in (("spool", "spooled"), (call, "degraded")):
        opened = Bus(NOBODY, source="shop", settings=Settings(spool_after=0.2), on_unavailable=on_unavailable)
        async with opened.opening():
            receipt = await opened.publish(OrderCreated(order_id=1))
            (other,) = await opened.publish_many([OrderCreated(order_id=2)])
        assert (receipt.state, other.state) == (state, state)
    assert degraded == [1, 2]

    place = tmp_path / "shop.db"
    opened = Bus(NOBODY, source="shop", settings=Settings(), store=f"sqlite:///{place}")
    async with opened.opening():
        with closing(sqlite3.connect(place, isolation_level=None)) as connection:
            connection.execute("BEGIN")
            receipt = await opened.publish(OrderCreated(order_id=1), transaction=connection)
            connection.execute("COMMIT")
    assert receipt.state == "spooled"


async def test_what_was_spooled_before_the_broker_was_reached_leaves_when_it_is(
    monkeypatch: pytest.MonkeyPatch,
):
    reach, is_there = EmbeddedTransport.open, False

    async def reached(transport: EmbeddedTransport) -> None:
        if not is_there:
            raise BrokerUnreachable(transport.url, "it is away")
        await reach(transport)

    monkeypatch.setattr(EmbeddedTransport, "open", reached)
    seen: list[int] = []

    @subscribe(OrderCreated)
    async def see(event: OrderCreated) -> None:
        seen.append(event.order_id)

    opened = Bus("sqlite:///events.db", source="shop", settings=Settings(), on_unavailable="spool")
    async with opened.opening(Service("shop", [see])) as opening:
        assert not await opening.tried(within=5)
        await opened.publish_many(OrderCreated(order_id=number) for number in range(3))
        is_there = True
        await eventually(lambda: seen == [0, 1, 2], within=20)


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


async def test_who_is_cancelled_while_the_opening_ends_with_the_block_leaves_none_behind(
    monkeypatch: pytest.MonkeyPatch,
):
    done: list[str] = []

    async def clean_up_first(*_: object) -> None:
        for step in ("begun", "cleaning up"):
            done.append(step)
            with suppress(asyncio.CancelledError):
                await asyncio.Event().wait()

    async def use() -> None:
        async with opened.opening():
            await eventually(lambda: done == ["begun"])

    monkeypatch.setattr(EmbeddedTransport, "apply", clean_up_first)
    opened = bus()
    using = asyncio.create_task(use())
    await eventually(lambda: done == ["begun", "cleaning up"])
    using.cancel()
    with pytest.raises(asyncio.CancelledError):
        await using
    assert "opening" not in {task.get_name() for task in asyncio.all_tasks()}


async def test_a_url_that_cannot_work_is_no_reason_to_try_again():
    with pytest.raises(ConfigurationError):
        async with bus("sqlite:////nowhere/at/all.db").opening():
            await asyncio.Event().wait()


async def test_an_error_of_the_block_is_raised_as_it_is():
    with pytest.raises(ZeroDivisionError):
        async with bus(NOBODY).opening():
            raise ZeroDivisionError


async def test_it_is_not_ready_before_every_subscription_consumes(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(subscriber, "PAUSE_AFTER_TROUBLE", 0.01)
    apply, is_refused = EmbeddedTransport.apply, True

    async def refused(transport: EmbeddedTransport, topology: Topology) -> None:
        if topology.queues and is_refused:
            raise TopologyError("queue shop.see", "its arguments differ")
        await apply(transport, topology)

    monkeypatch.setattr(EmbeddedTransport, "apply", refused)

    @subscribe(OrderCreated)
    async def see(event: OrderCreated) -> None: ...

    opened = bus()
    async with opened.opening(Service("shop", [see])) as opening:
        assert not await opening.tried(within=5)
        assert (
            opening.problem == "not every subscription consumes yet: worker.incomplete in the log names them"
        )
        assert (await opened.publish(OrderCreated(order_id=1))).state == "confirmed"
        is_refused = False
        await eventually(lambda: opening.is_ready, within=10)
