"""Two relays share an outbox, and one is killed in the middle: no event is missing, none counts twice."""

from __future__ import annotations

import asyncio
import os
import sys
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from eventbus import Event, Service, subscribe
from eventbus.codec import Codec
from eventbus.store import Outbox
from eventbus.stores.opening import store_for
from tests.conformance.sizes import FULL
from tests.support.eventually import eventually
from tests.support.handling import wrapped
from tests.support.load import bus_to

COMMAND: Final = Path(sys.executable).with_name("eventbus")
KEYS: Final = 16
EVENTS: Final = 5_000 if FULL else 3_000
AT_ONCE: Final = 20


class Told(Event, type="relay.told"):
    number: int


@asynccontextmanager
async def relay(store: str, url: str, log: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """`eventbus relay`, ready when entered; killed, if it was not before, when left."""
    with log.open("wb") as said:
        process = await asyncio.create_subprocess_exec(
            *(str(COMMAND), "relay", "--store", store, "--url", url),
            env=os.environ | {"EVENTBUS_LOG_LEVEL": "INFO"},
            stdin=asyncio.subprocess.DEVNULL,
            stderr=said,
        )
    try:
        await eventually(lambda: "relay.ready" in log.read_text(), within=30)
        yield process
    finally:
        await kill(process)


async def kill(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.kill()
    await process.wait()


async def put_events(url: str) -> None:
    """As somebody who commits a few at a time, each key's in their order."""
    async with opened(url) as outbox:
        for first in range(0, EVENTS, AT_ONCE):
            numbers = range(first, min(first + AT_ONCE, EVENTS))
            messages = [Codec().encode(wrapped(Told(number=number))) for number in numbers]
            await outbox.put(messages, [f"key-{number % KEYS}" for number in numbers])


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Outbox]:
    store = store_for(url)
    await store.open()
    try:
        assert store.outbox is not None
        yield store.outbox
    finally:
        await store.close()


async def test_of_two_relays_one_is_killed_and_every_event_is_handled_once_in_the_order_of_its_key(
    amqp_url: str, postgres_url: str, tmp_path: Path
):
    handled: defaultdict[int, list[int]] = defaultdict(list)

    @subscribe(Told, concurrency=1, prefetch=200)
    async def hear(event: Told) -> None:
        handled[event.number % KEYS].append(event.number)

    def count() -> int:
        return sum(map(len, handled.values()))

    async def is_over() -> bool:
        (queue,) = await bus.transport.stats(["listener.hear"])
        assert (queue.ready, queue.in_flight or 0, (await outbox.backlog()).events) == (0, 0, 0)
        return True

    async with (
        bus_to(amqp_url) as bus,
        bus.running(Service("listener", [hear])),
        opened(postgres_url) as outbox,
        relay(postgres_url, amqp_url, tmp_path / "one.log") as one,
        relay(postgres_url, amqp_url, tmp_path / "other.log"),
        asyncio.TaskGroup() as group,
    ):
        group.create_task(put_events(postgres_url))
        await eventually(lambda: count() > EVENTS // 10, within=30, every=0.005)
        await kill(one)
        assert count() < EVENTS
        await eventually(lambda: count() >= EVENTS, within=60)
        await eventually(is_over, within=30)

    assert handled == {key: list(range(key, EVENTS, KEYS)) for key in range(KEYS)}
