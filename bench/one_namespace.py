"""For cases in which each round has a namespace of its own, whose history and dead letters are its alone."""

from __future__ import annotations

import tempfile
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit

from bench.measure import Rates
from bench.memory import resident
from bench.work import orders
from eventbus import Bus
from eventbus.settings import Settings

_PIECE = 5_000
_ROUND = count()


@dataclass(frozen=True, slots=True)
class Timed:
    """Of one round: seconds of wall clock, and of this process's CPU, and the bytes it held at the end."""

    wall: float
    cpu: float
    memory: int


@asynccontextmanager
async def opened(broker: str) -> AsyncGenerator[Bus]:
    """A bus of one round. `broker`: empty for an embedded one."""
    name = f"bench{next(_ROUND)}"
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        settings = Settings(
            url=broker or f"sqlite:///{place / 'events.db'}",
            store=f"sqlite:///{place / 'store.db'}" if broker else None,
            namespace=name,
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


async def in_rounds(
    broker: str, rounds: int, one_round: Callable[[Bus], Awaitable[dict[str, Timed]]]
) -> dict[str, list[Timed]]:
    """What was measured on each side, a figure for each round."""
    measured: dict[str, list[Timed]] = {}
    for _ in range(rounds):
        async with opened(broker) as bus:
            for side, taken in (await one_round(bus)).items():
                measured.setdefault(side, []).append(taken)
    return measured


async def timed(work: Callable[[], Awaitable[object]]) -> Timed:
    began = time.perf_counter(), time.process_time()
    await work()
    return Timed(time.perf_counter() - began[0], time.process_time() - began[1], resident())


async def publish(bus: Bus, events: int) -> None:
    """In pieces, as a program does that makes them on the way."""
    for begin in range(0, events, _PIECE):
        await bus.publish_many(orders(min(_PIECE, events - begin)), timeout=60)


def rates(measured: dict[str, list[Timed]], events: int) -> list[Rates]:
    """Of each side."""
    return [
        Rates(
            side,
            tuple(events / each.wall for each in taken),
            tuple(each.cpu / events * 1e6 for each in taken),
        )
        for side, taken in measured.items()
    ]
