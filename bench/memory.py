"""Whether a worker's memory stays flat: resident size after each tenth of 100 000 events."""

from __future__ import annotations

import gc
import os
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.work import Counter, counting_service, orders
from eventbus import Bus

EVENTS = 100_000
STEPS = 10
BATCH = 500


async def run(url: str | None, console: Console) -> None:
    with tempfile.TemporaryDirectory() as folder:
        await _measure("a SQLite file", f"sqlite:///{Path(folder) / 'events.db'}", console)
    if url is not None:
        await _measure("RabbitMQ", url, console)


async def _measure(name: str, url: str, console: Console) -> None:
    table = Table("events", "resident MiB", title=f"A worker's memory on {name}", title_justify="left")
    counter = Counter()
    async with Bus(url, source="bench") as bus, bus.running(counting_service(counter)):
        for step in range(1, STEPS + 1):
            for _ in range(EVENTS // STEPS // BATCH):
                await bus.publish_many(orders(BATCH), timeout=60)
            await counter.wait_for(step * EVENTS // STEPS)
            gc.collect()
            table.add_row(f"{counter.seen:,}", f"{resident() / 2**20:.1f}")
    console.print(table)


def resident() -> int:
    """Bytes; proc(5), statm's second field in pages."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGESIZE")
