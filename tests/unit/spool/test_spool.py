"""While the broker is away events wait on this disk, in their order; when it is back they go out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from eventbus.clock import SystemClock
from eventbus.codec import Codec
from eventbus.errors import PublishRefused, PublishTimeout, SpoolFull
from eventbus.outbox import Relay
from eventbus.publisher import Publisher, Receipt
from eventbus.registry import Registry
from eventbus.spool import Spool, SpoolLimits
from eventbus.store import Outbox, Store
from eventbus.stores.spooling import opened_spool
from tests.support.eventually import eventually
from tests.support.handling import by_name
from tests.support.picky import PickyTransport

AFTER = 0.2
ROOMY = SpoolLimits(bytes=64 * 1024 * 1024, age=timedelta(days=7))


class Place:
    """One process's publisher, spool and relay, all on one file."""

    def __init__(self, store: Store, broker: PickyTransport, limits: SpoolLimits = ROOMY) -> None:
        assert store.outbox is not None
        self.outbox: Outbox = store.outbox
        self.broker = broker
        self.spool = Spool(self.outbox, broker.as_transport(), where="test", after=AFTER, limits=limits)
        self.relay = Relay(self.outbox, broker.as_transport(), where="test", timeout=1.0)
        self.publisher = Publisher(
            broker.as_transport(),
            source="shop",
            codec=Codec(),
            registry=Registry(),
            clock=SystemClock(),
            timeout=5.0,
            sending=self.spool,
        )

    async def publish(self, event_id: str, **options: Any) -> Receipt:
        return await self.publisher.publish("order.created", {}, event_id=event_id, **options)

    async def waiting(self) -> list[str | None]:
        async with self.outbox.take(10_000) as taken:
            return [entry.message.event_id for entry in taken.entries]


@pytest.fixture
def broker() -> PickyTransport:
    return PickyTransport()


@asynccontextmanager
async def opened(path: Path, broker: PickyTransport, limits: SpoolLimits = ROOMY) -> AsyncIterator[Place]:
    store = await opened_spool(path, SystemClock(), "")
    try:
        place = Place(store, broker, limits)
        await place.spool.open()
        yield place
        await place.relay.stop()
        await place.spool.close()
    finally:
        await store.close()


@pytest.fixture
async def place(tmp_path: Path, broker: PickyTransport) -> AsyncIterator[Place]:
    async with opened(tmp_path / "spool.db", broker) as place:
        yield place


async def test_while_the_broker_is_there_nothing_is_spooled(place: Place, broker: PickyTransport):
    assert (await place.publish("1")).state == "confirmed"
    assert (broker.has, await place.waiting()) == (["1"], [])


async def test_while_the_broker_is_away_an_event_is_spooled(place: Place, broker: PickyTransport):
    broker.is_away = True
    assert await place.publish("1") == Receipt("1", "spooled")
    assert await place.waiting() == ["1"]


async def test_a_silent_broker_gets_its_time_and_no_more(place: Place, broker: PickyTransport):
    broker.sending.clear()
    began = time.monotonic()
    assert (await place.publish("1", timeout=60)).state == "spooled"
    assert AFTER <= time.monotonic() - began < AFTER + 10


async def test_a_short_timeout_leaves_half_of_it_for_the_disk(place: Place, broker: PickyTransport):
    place.spool._after, broker.is_away = 60.0, True
    assert (await place.publish("1", timeout=20)).state == "spooled"
    assert 0 < broker.patience <= 10


async def test_what_may_have_arrived_is_spooled_under_the_same_id(place: Place, broker: PickyTransport):
    broker.is_silent = True
    assert (await place.publish("1")).state == "spooled"
    broker.is_silent = False
    await place.relay.drain()
    assert broker.has == ["1", "1"]


async def test_a_broker_that_says_no_is_heard(place: Place, broker: PickyTransport):
    broker.refused = {"1"}
    with pytest.raises(PublishRefused):
        await place.publish("1")
    assert await place.waiting() == []


async def test_only_what_is_not_confirmed_is_spooled(place: Place, broker: PickyTransport):
    broker.is_away, broker.confirms_before_it_fails = True, {"1", "3"}
    events = [by_name("order.created", {}, event_id=each) for each in ("1", "2", "3")]
    receipts = await place.publisher.publish_many(events)
    assert [each.state for each in receipts] == ["confirmed", "spooled", "confirmed"]
    assert await place.waiting() == ["2"]


async def test_an_event_for_later_keeps_its_delay(place: Place, broker: PickyTransport):
    broker.is_away = True
    assert (await place.publish("1", delay=100)).state == "scheduled"
    broker.is_away = False
    await place.relay.drain()
    assert 95 < broker.delays["1"] <= 100


async def test_while_something_waits_new_events_go_behind_it_without_asking_the_broker(
    place: Place, broker: PickyTransport
):
    place.spool._after = place.spool._waiting._patience = 60.0  # for which nobody is made to wait
    broker.is_away = True
    await place.publish("1")
    asked = len(broker.calls)
    broker.is_away = False
    began = time.monotonic()
    for number in range(2, 10):
        assert (await place.publish(str(number), timeout=60)).state == "spooled"
    assert time.monotonic() - began < 10
    assert len(broker.calls) == asked
    assert await place.waiting() == [str(number) for number in range(1, 10)]


async def test_when_all_is_sent_events_go_to_the_broker_again(place: Place, broker: PickyTransport):
    broker.is_away = True
    await place.publish("1")
    await place.relay.start()
    broker.is_away = False
    await eventually(lambda: became(place, "confirmed"))
    assert (broker.has[0], await place.waiting()) == ("1", [])


async def became(place: Place, state: str) -> bool:
    return (await place.publish("again")).state == state


async def test_under_load_the_spool_is_left_behind_and_the_order_is_kept(
    place: Place, broker: PickyTransport
):
    broker.is_away = True
    sent: dict[str, list[str]] = {key: [] for key in "abcd"}
    states: set[str] = set()

    async def publish_on(key: str) -> None:
        while "confirmed" not in states or len(sent[key]) < 30:
            event_id = f"{key}{len(sent[key])}"
            sent[key].append(event_id)
            state = (await place.publish(event_id, key=key)).state
            if not broker.is_away:
                states.add(state)
            await asyncio.sleep(0.002)

    await place.relay.start()
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        for key in sent:
            group.create_task(publish_on(key))
        await asyncio.sleep(1.0)
        broker.is_away = False
    await place.relay.drain()
    for key, event_ids in sent.items():
        assert [each for each in broker.has if each[0] == key] == event_ids


async def test_beyond_its_bytes_it_refuses(tmp_path: Path, broker: PickyTransport):
    broker.is_away = True
    async with opened(tmp_path / "s.db", broker, SpoolLimits(bytes=3000, age=timedelta(days=1))) as place:
        for number in range(4):
            assert (await place.publish(str(number))).state == "spooled"
        with pytest.raises(SpoolFull, match=r"is full: .* the 3000 allowed \(EVENTBUS_SPOOL_BYTES\)") as full:
            await place.publish("more")
        assert full.value.sent is False
        assert await place.waiting() == ["0", "1", "2", "3"]


async def test_many_at_once_find_no_more_room_than_there_is(tmp_path: Path, broker: PickyTransport):
    broker.is_away = True
    async with opened(tmp_path / "s.db", broker, SpoolLimits(bytes=6500, age=timedelta(days=1))) as place:
        ended = await asyncio.gather(*(place.publish(str(n)) for n in range(100)), return_exceptions=True)
        backlog = await place.outbox.backlog()
        assert backlog.bytes + 512 * backlog.events <= 6500
        assert backlog.events >= 8
        assert sum(isinstance(each, SpoolFull) for each in ended) == 100 - backlog.events


async def test_when_there_is_room_again_it_takes_again(tmp_path: Path, broker: PickyTransport):
    broker.is_away = True
    async with opened(tmp_path / "s.db", broker, SpoolLimits(bytes=1000, age=timedelta(days=1))) as place:
        await place.publish("1")
        with pytest.raises(SpoolFull):
            await place.publish("2")
        broker.is_away = False
        await place.relay.drain()
        broker.is_away = True
        await eventually(lambda: place.publish("3"), despite=SpoolFull)
        assert await place.waiting() == ["3"]


async def test_when_its_oldest_event_is_too_old_it_refuses_and_sends_it_all_the_same(
    tmp_path: Path, broker: PickyTransport
):
    broker.is_away = True
    limits = SpoolLimits(bytes=1_000_000, age=timedelta(seconds=0.3))
    async with opened(tmp_path / "s.db", broker, limits) as place:
        await place.publish("1")
        await asyncio.sleep(0.5)
        with pytest.raises(SpoolFull, match=r"is not being drained: .* \(EVENTBUS_SPOOL_DAYS\)"):
            await eventually(lambda: refused(place))
        broker.is_away = False
        await place.relay.drain()
        assert broker.has[0] == "1"


async def refused(place: Place) -> bool:
    await place.publish("more")
    return False


async def test_what_an_earlier_process_left_goes_first(tmp_path: Path, broker: PickyTransport):
    broker.is_away = True
    async with opened(tmp_path / "s.db", broker) as place:
        await place.publish("1")
    broker.is_away = False
    async with opened(tmp_path / "s.db", broker) as place:
        assert (await place.publish("2")).state == "spooled"
        await place.relay.drain()
    assert broker.has == ["1", "2"]


async def test_two_processes_share_one_file(tmp_path: Path, broker: PickyTransport):
    broker.is_away = True
    async with opened(tmp_path / "s.db", broker) as one, opened(tmp_path / "s.db", broker) as other:
        await asyncio.gather(
            *(one.publish(f"a{n}") for n in range(20)), *(other.publish(f"b{n}") for n in range(20))
        )
        broker.is_away = False
        await one.relay.start()
        await other.relay.start()
        await eventually(lambda: len(broker.has) == 40)
        assert len(set(broker.has)) == 40


async def test_a_spool_that_takes_nothing_says_so(place: Place, broker: PickyTransport, tmp_path: Path):
    broker.is_away = True
    await place.publish("1")
    await fill_the_disk(place)
    with pytest.raises(SpoolFull, match=r"takes nothing: database or disk is full") as full:
        await place.publish("x" * 200, headers={"big": "y" * 60_000})
    assert full.value.sent is False
    assert await place.waiting() == ["1"]


async def fill_the_disk(place: Place) -> None:
    await place.outbox._access.write(  # type: ignore[attr-defined]
        lambda connection: connection.execute("PRAGMA max_page_count = 1").fetchone(), durable=False
    )


async def test_a_slow_disk_is_waited_for_no_longer_than_the_timeout(
    place: Place, broker: PickyTransport, monkeypatch: pytest.MonkeyPatch
):
    async def hang(*_: object) -> None:
        await asyncio.Event().wait()

    broker.is_away = True
    monkeypatch.setattr(place.outbox, "put", hang)
    began = time.monotonic()
    with pytest.raises(PublishTimeout, match="did not take it in time") as slow:
        await place.publish("1", timeout=0.5)
    assert slow.value.sent is None
    assert time.monotonic() - began < 10
