"""What it costs to handle each event once: one worker on RabbitMQ, with each kind of store and with none.

The handler only counts; each round has events of its own, so every claim is a new row.
"""

from __future__ import annotations

import tempfile
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path

from rich.console import Console

from bench.measure import Side, alternate, show
from bench.work import Counter, counting_service, orders
from eventbus import Bus
from tests.support.lifeline import Lifeline
from tests.support.postgres_server import PostgresServer
from tests.support.redis_server import RedisServer

EVENTS = 30_000
PREFETCH = 500
WITHOUT = "no inbox"


async def run(url: str, rounds: int, console: Console) -> None:
    async with AsyncExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory())
        stores = {
            WITHOUT: "memory://",
            "memory": "memory://",
            "SQLite": f"sqlite:///{Path(directory) / 'inbox.db'}",
            "Redis": stack.enter_context(served(partial(RedisServer, appendonly=True))),
            "PostgreSQL": stack.enter_context(served(partial(PostgresServer, fsync=True))),
        }
        sides: dict[str, Side] = {}
        for name, store in stores.items():
            bus = await stack.enter_async_context(Bus(url, source="bench", store=store))
            sides[name] = _side(bus, deduplicate=name != WITHOUT)
        rates = await alternate(sides, rounds)
        show("Consume, handle once and ack (filling not counted)", rates, WITHOUT, console)


def _side(bus: Bus, *, deduplicate: bool) -> Side:
    async def fill() -> None:
        async with _worker(bus, deduplicate=deduplicate):
            pass  # its queue is there
        await bus.publish_many(orders(EVENTS), timeout=60)

    async def consume() -> int:
        async with _worker(bus, deduplicate=deduplicate) as counter:
            await counter.wait_for(EVENTS)
        return EVENTS

    return Side(consume, fill)


@asynccontextmanager
async def _worker(bus: Bus, *, deduplicate: bool) -> AsyncGenerator[Counter]:
    counter = Counter()
    async with bus.running(counting_service(counter, prefetch=PREFETCH, deduplicate=deduplicate)):
        yield counter


@contextmanager
def served(make: Callable[[Path], PostgresServer | RedisServer]) -> Iterator[str]:
    """The URL of a private server, which keeps on its disk what it has answered for."""
    lifeline = Lifeline()
    try:
        server = make(lifeline.directory)
        server.start()
        yield server.url
    finally:
        lifeline.cut()
