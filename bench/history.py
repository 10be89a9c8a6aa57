"""History: what replaying costs beside publishing, and catching up beside taking from a queue.

Each round has a namespace of its own, whose history is what was published in it. Handling is timed from the
first event to the last: that a late subscription waits a second before it begins is no cost of an event.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from rich.console import Console

from bench.measure import Rates, show
from bench.memory import resident
from bench.work import Counter, OrderPlaced, orders
from eventbus import Bus, Service, subscribe
from eventbus.bus import topology
from eventbus.replay import ReplayRequest
from eventbus.settings import Settings

EVENTS = 20_000
_PIECE = 5_000
_ROUND = count()


@dataclass(frozen=True, slots=True)
class Timed:
    """Of one round: seconds of wall clock, and of this process's CPU, and the bytes it held at the end."""

    wall: float
    cpu: float
    memory: int


async def run(url: str, rounds: int, events: int, console: Console) -> None:
    """Tells too what memory this process holds after each step, which must not grow with the events."""
    with tempfile.TemporaryDirectory() as directory:
        for name, broker in (("RabbitMQ", url), ("embedded", "")):
            measured: dict[str, list[Timed]] = {}
            for _ in range(rounds):
                place = Path(directory) / str(next(_ROUND))
                place.mkdir()
                async with _opened(broker, place) as bus:
                    for side, timed in await _round(bus, events):
                        measured.setdefault(side, []).append(timed)
            rates = [_rates(side, timed, events) for side, timed in measured.items()]
            show(f"{name}: to a subscription's queue", rates[:2], "publish_many", console)
            show(f"{name}: handled, with the inbox in SQLite", rates[2:], "from its queue", console)
            held = ", ".join(f"{side} {timed[-1].memory / 2**20:.0f}" for side, timed in measured.items())
            console.print(f"MiB held after the last: {held}")


@asynccontextmanager
async def _opened(broker: str, place: Path) -> AsyncGenerator[Bus]:
    settings = Settings(
        url=broker or f"sqlite:///{place / 'events.db'}",
        store=f"sqlite:///{place / 'store.db'}" if broker else None,
        namespace=f"bench{place.name}",
        management_url=_management(broker),
    )
    async with Bus(source="bench", settings=settings) as bus:
        yield bus


def _management(broker: str) -> str | None:
    """That of a private node is 10 000 ports above."""
    address = urlsplit(broker)
    if address.port in (None, 5672):
        return None
    return f"http://{address.hostname}:{address.port + 10_000}"


async def _round(bus: Bus, events: int) -> list[tuple[str, Timed]]:
    service = _service(bus, "kept", Counter())
    await bus.transport.apply(topology([service]))
    published = await _timed(lambda: _publish(bus, events))
    from_queue = await _handled(bus, "kept", "new", events)
    from_history = await _handled(bus, "late", "beginning", events)
    replayed = await _timed(lambda: _replay(bus, service.members[0].queue))
    return [
        ("publish_many", published),
        ("replay", replayed),
        ("from its queue", from_queue),
        ("from history", from_history),
    ]


async def _publish(bus: Bus, events: int) -> None:
    for begin in range(0, events, _PIECE):
        await bus.publish_many(orders(min(_PIECE, events - begin)), timeout=60)


async def _replay(bus: Bus, subscription: str) -> None:
    replays = await bus.replays()
    request = ReplayRequest(subscription, types=(OrderPlaced.__event_type__,))
    await replays.run(await replays.prepare(request))


async def _handled(bus: Bus, name: str, start: Literal["new", "beginning"], events: int) -> Timed:
    counter = Counter()
    async with bus.running(_service(bus, name, counter, start)):
        await counter.wait_for(1)
        began = time.perf_counter(), time.process_time()
        await counter.wait_for(events, within=600)
        return Timed(time.perf_counter() - began[0], time.process_time() - began[1], resident())


async def _timed(work: Callable[[], Awaitable[None]]) -> Timed:
    began = time.perf_counter(), time.process_time()
    await work()
    return Timed(time.perf_counter() - began[0], time.process_time() - began[1], resident())


def _service(bus: Bus, name: str, counter: Counter, start: Literal["new", "beginning"] = "new") -> Service:
    @subscribe(OrderPlaced, name=name, prefetch=200, concurrency=100, start=start)
    async def take(_event: OrderPlaced) -> None:
        counter.count()

    return Service(f"of_{bus.settings.namespace}", [take])


def _rates(name: str, timed: list[Timed], events: int) -> Rates:
    return Rates(
        name,
        tuple(events / each.wall for each in timed),
        tuple(each.cpu / events * 1e6 for each in timed),
    )
