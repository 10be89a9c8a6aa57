"""The embedded transport end to end: published, routed, handed over, decoded, handled, settled."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from rich.console import Console

from bench.measure import Side, alternate, show
from bench.work import Counter, counting_service, orders
from eventbus import Bus
from eventbus.settings import Settings

EVENTS = 3_000
BATCH = 100


def side(url: str, synchronous: str = "full") -> Side:
    async def run() -> int:
        counter = Counter()
        settings = Settings.from_environment({}, url=url, synchronous=synchronous)
        async with (
            Bus(url, source="bench", settings=settings) as bus,
            bus.running(counting_service(counter)),
        ):
            events = orders(EVENTS)
            for at in range(0, EVENTS, BATCH):
                await bus.publish_many(events[at : at + BATCH])
            await counter.wait_for(EVENTS)
        return EVENTS

    return Side(run)


def one_by_one(url: str) -> Side:
    async def run() -> int:
        counter = Counter()
        async with Bus(url, source="bench") as bus, bus.running(counting_service(counter)):
            await asyncio.gather(*(bus.publish(event) for event in orders(EVENTS)))
            await counter.wait_for(EVENTS)
        return EVENTS

    return Side(run)


async def run(rounds: int, console: Console) -> None:
    with tempfile.TemporaryDirectory() as folder:
        sides = {
            "memory, batches of 100": side("sqlite://:memory:"),
            "memory, gathered": one_by_one("sqlite://:memory:"),
            "file, batches of 100": side(f"sqlite:///{Path(folder) / 'full.db'}"),
            "file, gathered": one_by_one(f"sqlite:///{Path(folder) / 'gathered.db'}"),
        }
        rates = await alternate(sides, rounds)
        show("Embedded: publish to handled, one process", rates, "memory, batches of 100", console)
