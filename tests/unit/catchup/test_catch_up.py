"""How history is handled: in which order, how far ahead it is read, and while it cannot be read."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from structlog.testing import capture_logs

from eventbus import Batch, Bus, Service, subscribe
from eventbus.errors import BrokerUnreachable, EventBusError, InvalidSubscription
from eventbus.history import History, Piece, Place
from eventbus.keeping import logbook_of
from eventbus.store import StoreUnavailable
from tests.support.eventually import eventually
from tests.unit.catchup.events import SERVICE, Booked, bookings


async def test_a_store_that_is_away_when_all_is_handled_is_told_once(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("eventbus.subscriber.PAUSE_AFTER_TROUBLE", 0.01)
    store = await bus.kept.opened_store()
    logbook: Any = logbook_of(store)
    write, failures = logbook.write, [StoreUnavailable("the store", "is away")] * 5

    async def failing(kind: str, name: str, text: str) -> Any:
        if '"live"' in text and failures:
            raise failures.pop()
        return await write(kind, name, text)

    monkeypatch.setattr(logbook, "write", failing)
    with capture_logs() as logs:
        async with bus.running(SERVICE) as worker:
            await asyncio.wait_for(worker.caught_up(), 10)

    assert not failures
    assert [log["event"] for log in logs].count("subscription.failed") == 1


async def test_batches_of_one_key_get_full(bus: Bus):
    sizes: list[int] = []

    @subscribe(Booked, start="beginning", batch=Batch(size=50, within=1.0), concurrency=1)
    async def book(events: list[Booked]) -> None:
        assert [event.number for event in events] == sorted(event.number for event in events)
        sizes.append(len(events))

    await bus.publish_many(bookings(300, "account-1"))
    async with bus.running(Service("books", [book])):
        await eventually(lambda: sum(sizes) == 300, within=10)

    assert max(sizes) == 50


async def test_one_at_a_time_history_is_handled_in_the_order_of_the_log_whatever_keys_it_has(bus: Bus):
    handled: list[int] = []

    @subscribe(Booked, start="beginning", concurrency=1)
    async def book(event: Booked) -> None:
        handled.append(event.number)

    await bus.publish_many(bookings(300, None, "a", "b", "a", "a", "c", None, "b"))
    async with bus.running(Service("books", [book])):
        await eventually(lambda: len(handled) == 300, within=10)

    assert handled == [*range(300)]


async def test_a_stop_reads_no_further_however_long_a_handler_takes(bus: Bus):
    read: list[int] = []
    began = asyncio.Event()
    end = asyncio.Event()

    @subscribe(Booked, start="beginning")
    async def slow(event: Booked) -> None:
        began.set()
        await end.wait()

    await bus.publish_many(bookings(9_000))
    original = bus.transport.log

    def counted(*arguments: Any, **options: Any) -> Any:
        return Counted(original(*arguments, **options), read)

    bus.transport.log = counted  # type: ignore[method-assign]
    worker = await bus.start(Service("books", [slow]))
    await asyncio.wait_for(began.wait(), 10)
    await eventually(lambda: sum(read) > 2_000, within=10)
    stopping = asyncio.create_task(worker.stop())
    at_the_stop = sum(read)
    await asyncio.sleep(0.3)  # nothing may happen, and there is nothing to wait for
    assert sum(read) <= at_the_stop + max(read)  # what was being read
    end.set()
    await stopping


async def test_who_stops_in_the_past_does_not_ask_for_its_queue(bus: Bus, monkeypatch: pytest.MonkeyPatch):
    began, asked = asyncio.Event(), Counter[str]()
    consume = bus.transport.consume

    @subscribe(Booked, start="beginning", concurrency=1)
    async def book(event: Booked) -> None:
        began.set()
        await asyncio.sleep(0.01)

    def asking(queue: str, *, prefetch: int) -> Any:
        asked[queue] += 1
        return consume(queue, prefetch=prefetch)

    monkeypatch.setattr(bus.transport, "consume", asking)
    await bus.publish_many(bookings(1000))
    async with bus.running(Service("books", [book])):
        await asyncio.wait_for(began.wait(), 10)

    assert not asked


@dataclass
class Counted:
    """A log that counts what is read of it."""

    log: Any
    read: list[int]

    async def __aenter__(self) -> Any:
        return self._batches(await self.log.__aenter__())

    async def __aexit__(self, *error: object) -> None:
        await self.log.__aexit__(*error)

    async def _batches(self, batches: Any) -> AsyncGenerator[Any]:
        async for batch in batches:
            self.read.append(len(batch))
            yield batch


async def test_a_history_that_cannot_be_read_for_a_while_is_waited_for_and_handlers_run_on(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
):
    """It is told once for each cause, and read on from where it was."""
    monkeypatch.setattr("eventbus.waiting._FIRST_PAUSE", 0.01)
    archive, broker = StoreUnavailable("the archive", "is away"), BrokerUnreachable("the broker", "is away")
    failures: list[EventBusError] = [archive, archive, broker]
    ran: Counter[int] = Counter()
    began, end = asyncio.Event(), asyncio.Event()
    read = History.read

    async def breaking(self: History, place: Place, **period: Any) -> AsyncGenerator[Piece]:
        if 0 < len(failures) < 3:
            raise failures.pop(0)
        async for piece in read(self, place, **period):
            yield piece
            await began.wait()
            if failures:
                raise failures.pop(0)

    monkeypatch.setattr(History, "read", breaking)

    @subscribe(Booked, start="beginning", concurrency=4)
    async def slow(event: Booked) -> None:
        ran[event.number] += 1
        began.set()
        await end.wait()

    await bus.publish_many(bookings(1000))
    with capture_logs() as logs:
        async with bus.running(Service("books", [slow])):
            await eventually(lambda: ran and not failures, within=10)
            end.set()
            await eventually(lambda: len(ran) == 1000, within=30)

    assert set(ran.values()) == {1}
    told = [
        (log["event"], log["log_level"], log["problem"].split(":")[0]) for log in logs if "problem" in log
    ]
    assert told == [
        ("catch_up.waiting", "error", "StoreUnavailable"),
        ("catch_up.waiting", "error", "BrokerUnreachable"),
    ]
    assert "subscription.failed" not in {log["event"] for log in logs}


async def test_a_subscription_cannot_begin_in_the_future(bus: Bus):
    @subscribe(Booked, start=datetime(2999, 1, 1, tzinfo=UTC))
    async def later(event: Booked) -> None: ...

    with pytest.raises(InvalidSubscription, match="in the future"):
        await bus.start(Service("books", [later]))
