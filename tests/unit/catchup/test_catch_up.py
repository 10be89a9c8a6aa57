"""Who catches up, where the logbook lies in a store that goes away in the middle of a question."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from eventbus import Batch, Bus, Envelope, Event, Service, subscribe
from eventbus.catchup import KIND, CatchUp, CatchUps
from eventbus.clock import SystemClock
from eventbus.codec import Codec
from eventbus.errors import InvalidSubscription
from eventbus.ids import new_event_id
from eventbus.keeping import logbook_of
from eventbus.logbook import Logbook, OutOfHand
from eventbus.store import StoreUnavailable
from tests.support.eventually import eventually


class Booked(Event, type="account.booked"):
    number: int


@subscribe(Booked, start="beginning")
async def total(event: Booked) -> None: ...


SERVICE = Service("analytics", [total])
(MEMBER,) = SERVICE


@dataclass
class Interrupted:
    """A logbook that does what it is asked, and does not say so the first time."""

    logbook: Logbook
    verb: str
    error: Exception

    def __getattr__(self, name: str) -> Any:
        verb: Callable[..., Any] = getattr(self.logbook, name)

        async def asked(*arguments: Any) -> Any:
            answer = await verb(*arguments)
            if name == self.verb:
                self.verb = ""
                raise self.error
            return answer

        return asked


AWAY = StoreUnavailable("sqlite:///events.db", "the disk is full")


@pytest_asyncio.fixture
async def bus(tmp_path: Path) -> AsyncGenerator[Bus]:
    async with Bus(f"sqlite:///{tmp_path / 'events.db'}", source="test") as bus:
        await bus.transport.apply(SERVICE.topology)
        yield bus


async def catching_up(bus: Bus, verb: str, error: Exception) -> CatchUp:
    store = await bus.kept.opened_store()
    logbook: Any = Interrupted(logbook_of(store), verb, error)
    history = await bus.history()
    shared = CatchUps(bus.transport, history, logbook, store.inbox, Codec(), SystemClock())
    found = shared.of(MEMBER)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("verb", "error"), [("take", AWAY), ("write", OutOfHand(KIND, MEMBER.queue)), ("write", AWAY)]
)
async def test_who_does_not_know_whether_the_page_is_in_his_hand_gets_it_again(
    bus: Bus, verb: str, error: Exception
):
    catch_up = await catching_up(bus, verb, error)
    with pytest.raises(type(error)):
        await catch_up.is_due(asyncio.Event())

    async with asyncio.timeout(5):
        assert await catch_up.is_due(asyncio.Event())


def bookings(count: int, key: str | None = None) -> list[Envelope[Booked]]:
    return [
        Envelope.wrap(Booked(number=n), event_id=new_event_id(), timestamp=datetime.now(UTC), key=key)
        for n in range(count)
    ]


async def test_batches_of_one_key_get_full(bus: Bus):
    sizes: list[int] = []

    @subscribe(Booked, start="beginning", batch=Batch(size=50, within=1.0), concurrency=1)
    async def book(events: list[Booked]) -> None:
        assert [event.number for event in events] == sorted(event.number for event in events)
        sizes.append(len(events))

    await bus.publish_many(bookings(300, key="account-1"))
    async with bus.running(Service("books", [book])):
        await eventually(lambda: sum(sizes) == 300, within=10)

    assert max(sizes) == 50


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


async def test_a_subscription_cannot_begin_in_the_future(bus: Bus):
    @subscribe(Booked, start=datetime(2999, 1, 1, tzinfo=UTC))
    async def later(event: Booked) -> None: ...

    with pytest.raises(InvalidSubscription, match="in the future"):
        await bus.start(Service("books", [later]))
