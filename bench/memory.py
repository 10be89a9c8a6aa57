"""Whether memory stays flat: a worker's after each tenth of its events, a publisher's in one long call."""

from __future__ import annotations

import gc
import os
import resource
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.work import Counter, counting_service, order, orders
from eventbus import Bus

STEPS = 10
BATCH = 500
MOST_BEHIND = 10_000
"""Events that the consumer may be behind: else most of the memory would be the broker's."""
MOST_IN_A_FILE = 100_000


async def run(url: str, deliveries: int, console: Console) -> None:
    """With an inbox in memory, which is full after a million."""
    with tempfile.TemporaryDirectory() as folder:
        file = f"sqlite:///{Path(folder) / 'events.db'}"
        await _measure("a SQLite file", file, min(deliveries, MOST_IN_A_FILE), console)
    await _publish(url, deliveries // 10, console)
    await _measure("RabbitMQ", url, deliveries, console)


async def _publish(url: str, events: int, console: Console) -> None:
    """What a call adds to the most that the process has held so far: the receipts of its events above all."""
    title = "One call of publish_many with a generator, on RabbitMQ"
    table = Table("events", "events/s", "most MiB", title=title, title_justify="left")
    async with Bus(url, source="bench") as bus:
        for count in (events // 100, events // 10, events):
            began = time.perf_counter()
            receipts = await bus.publish_many(map(order, range(count)), timeout=3600)
            rate = len(receipts) / (time.perf_counter() - began)
            del receipts
            most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
            table.add_row(f"{count:,}", f"{rate:,.0f}", f"{most:.1f}")
    console.print(table)


async def _measure(name: str, url: str, deliveries: int, console: Console) -> None:
    table = Table("events", "resident MiB", title=f"A worker's memory on {name}", title_justify="left")
    counter, published = Counter(), 0
    service = counting_service(counter, deduplicate=True)
    async with Bus(url, source="bench", store="memory://") as bus, bus.running(service):
        for step in range(1, STEPS + 1):
            while published < step * deliveries // STEPS:
                await bus.publish_many(orders(BATCH), timeout=60)
                published += BATCH
                await counter.wait_for(published - MOST_BEHIND)
            await counter.wait_for(published)
            gc.collect()
            table.add_row(f"{counter.seen:,}", f"{resident() / 2**20:.1f}")
    console.print(table)


def resident() -> int:
    """Bytes; proc(5), statm's second field in pages."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGESIZE")
