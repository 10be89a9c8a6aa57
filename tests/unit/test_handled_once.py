"""What a subscription has handled it does not handle again; what failed it does."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from eventbus import Bus, Context, Envelope, Event, RetryPolicy, Service, subscribe
from eventbus.codec import Codec
from eventbus.errors import ConfigurationError
from eventbus.headers import REPLAY_ID, REPROCESS
from eventbus.settings import Settings
from eventbus.testing import TestBus
from tests.support.eventually import eventually
from tests.support.handling import wrapped


class OrderCreated(Event, type="order.created"):
    order_id: int


class OrderPaid(Event, type="order.paid"):
    order_id: int


def order(number: int = 1) -> Envelope[OrderCreated]:
    return wrapped(OrderCreated(order_id=number))


def settings(place: Path, **changes: Any) -> Settings:
    return Settings(url=f"sqlite:///{place / 'events.db'}", **changes)


async def replayed(bus: TestBus, envelope: Envelope[OrderCreated], headers: dict[str, object]) -> None:
    message = Codec().encode(envelope)
    await bus.transport.send([replace(message, headers=headers, queue="payment.charge")], timeout=5)
    await bus.settle()


async def test_an_event_that_comes_three_times_is_handled_once_by_each_subscription():
    charged: list[int] = []
    mailed: list[int] = []

    @subscribe(OrderCreated)
    async def charge(event: OrderCreated) -> OrderPaid:
        charged.append(event.order_id)
        return OrderPaid(order_id=event.order_id)

    @subscribe(OrderCreated)
    async def mail(event: OrderCreated) -> None:
        mailed.append(event.order_id)

    async with TestBus(Service("payment", [charge]), Service("email", [mail])) as bus:
        same = order()
        for _ in range(3):
            await bus.publish(same)

        assert (charged, mailed) == ([1], [1])
        assert len(bus.published(OrderPaid)) == 1


async def test_a_replay_brings_what_was_not_handled_and_again_only_what_it_is_told_to():
    handled: list[tuple[int, str | None]] = []

    @subscribe(OrderCreated)
    async def charge(event: OrderCreated, context: Context) -> None:
        handled.append((event.order_id, context.replay))

    async with TestBus(Service("payment", [charge])) as bus:
        first, second = order(1), order(2)
        await bus.publish(first)
        repair = {REPLAY_ID: "rpl_1"}
        rerun = {REPLAY_ID: "rpl_2", REPROCESS: True}
        for headers in (repair, repair, rerun, rerun, rerun | {REPLAY_ID: "rpl_3"}):
            await replayed(bus, first, headers)

        assert handled == [(1, None), (1, "rpl_2"), (1, "rpl_3")]

        for _ in range(2):
            await replayed(bus, second, repair)
        assert handled[3:] == [(2, "rpl_1")]


async def test_a_subscription_can_do_without():
    handled: list[int] = []

    @subscribe(OrderCreated, deduplicate=False)
    async def look(event: OrderCreated) -> None:
        handled.append(event.order_id)

    async with TestBus(Service("shop", [look])) as bus:
        same = order()
        await bus.publish(same)
        await bus.publish(same)

    assert handled == [1, 1]


async def test_what_failed_is_handled_again_until_it_succeeds():
    tries = 0

    @subscribe(OrderCreated, retry=RetryPolicy(max_attempts=5))
    async def charge(_: OrderCreated) -> None:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise RuntimeError("not yet")

    async with TestBus(Service("payment", [charge])) as bus:
        same = order()
        await bus.publish(same)
        await bus.advance(600)
        await bus.publish(same)

        assert tries == 3
        assert bus.dead_letters == ()


async def test_what_died_is_not_counted_as_handled():
    is_broken = True
    handled: list[int] = []

    @subscribe(OrderCreated, retry=RetryPolicy(max_attempts=1))
    async def charge(event: OrderCreated) -> None:
        if is_broken:
            raise RuntimeError("broken")
        handled.append(event.order_id)

    async with TestBus(Service("payment", [charge])) as bus:
        same = order()
        await bus.publish(same)
        assert len(bus.dead_letters) == 1

        is_broken = False
        await bus.publish(same)

    assert handled == [1]


async def test_copies_in_one_batch_are_handled_once():
    helpings: list[list[int]] = []

    @subscribe(OrderCreated)
    async def charge(event: OrderCreated) -> None:
        helpings.append([event.order_id])

    async with TestBus(Service("payment", [charge])) as bus:
        same = order()
        await bus.publish_many([same, order(2), same, same])

    assert sorted(helpings) == [[1], [2]]


async def test_a_copy_does_not_run_beside_the_first():
    running: list[int] = []
    together: list[int] = []

    @subscribe(OrderCreated)
    async def charge(event: OrderCreated) -> None:
        running.append(event.order_id)
        together.append(len(running))
        await asyncio.sleep(0.05)
        running.pop()
        raise RuntimeError("so that each copy has its turn")

    async with TestBus(Service("payment", [charge])) as bus:
        same = order()
        await bus.publish_many([same] * 4)

    assert together == [1, 1, 1, 1]


# --- on the disk


async def test_another_process_knows_what_was_handled(tmp_path: Path):
    handled: list[str] = []

    def service(name: str) -> Service:
        @subscribe(OrderCreated, name="charge")
        async def charge(_: OrderCreated) -> None:
            handled.append(name)

        return Service("payment", [charge])

    same = order()
    for name in ("first", "second"):
        async with Bus(source="test", settings=settings(tmp_path)) as bus, bus.running(service(name)):
            await bus.publish(same)
            await bus.publish(OrderCreated(order_id=2))
            await eventually(partial(is_done, bus), within=10)

    assert handled == ["first", "first", "second"]


async def is_done(bus: Bus) -> bool:
    (stats,) = await bus.transport.stats(["payment.charge"])
    return stats.ready == stats.in_flight == 0


async def test_what_only_publishes_has_no_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)

    async with Bus("sqlite:///events.db", source="test", settings=Settings()) as bus:
        await bus.publish(OrderCreated(order_id=1))
        with closing(sqlite3.connect("events.db")) as database:
            tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master")}

    assert not {name for name in tables if "inbox" in name}


async def test_a_store_that_cannot_be_is_refused_at_the_start(tmp_path: Path):
    @subscribe(OrderCreated)
    async def charge(_: OrderCreated) -> None: ...

    store = f"sqlite:///{tmp_path / 'nowhere' / 'eventbus.db'}"
    with pytest.raises(ConfigurationError, match="nowhere"):
        async with Bus(source="test", settings=settings(tmp_path, store=store)):
            pass


async def test_while_the_store_is_locked_nothing_is_handled_and_afterwards_everything(tmp_path: Path):
    handled: list[int] = []

    @subscribe(OrderCreated)
    async def charge(event: OrderCreated) -> None:
        handled.append(event.order_id)

    place = tmp_path / "store.db"
    async with (
        Bus(source="test", settings=settings(tmp_path, store=f"sqlite:///{place}")) as bus,
        bus.running(Service("payment", [charge])),
    ):
        holder = sqlite3.connect(place, isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        await bus.publish_many([OrderCreated(order_id=number) for number in range(5)])

        async def is_taken() -> bool:
            (stats,) = await bus.transport.stats(["payment.charge"])
            return stats.in_flight == 5

        await eventually(is_taken)
        assert handled == []

        holder.execute("ROLLBACK")
        holder.close()
        await eventually(lambda: len(handled) == 5, within=20)

    assert sorted(handled) == list(range(5))
