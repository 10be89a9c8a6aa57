"""What Python does for one event: instructions and calls, by file, and the CPU time of all of it together.

Instructions do not depend on the machine or on what else it does: two trees can be told apart by one run.
They are no time: an instruction may call something that takes long.
"""

from __future__ import annotations

import asyncio
import gc
import statistics
import sys
import time
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Final
from unittest.mock import patch

import uvloop
from rich.console import Console
from rich.table import Table

import eventbus
from bench.loopback import Loopback, Peer, deliveries
from bench.work import OrderPlaced, order
from eventbus import Bus, Service, subscribe
from eventbus.rabbitmq import transport

EVENTS: Final = 2_000
"""Of a round."""
PREFETCH: Final = 500
WITHIN: Final = 60.0
"""Seconds for a round."""
PIECE: Final = 250
"""Events of one call, and deliveries of one read."""
_OURS: Final = Path(eventbus.__file__).parent
_BENCH: Final = Path(__file__).parent

Round = Callable[[], Callable[[], Awaitable[None]]]
"""Makes what it needs, and returns what is counted."""


async def run(rounds: int, console: Console) -> None:
    """In a loop as `eventbus run` has it."""
    await asyncio.to_thread(lambda: uvloop.run(_run(rounds, console)))


async def _run(rounds: int, console: Console) -> None:
    with patch.object(transport, "Link", Loopback):
        async with Bus("amqp://nobody/", source="bench", store="memory://", declare=False) as bus:
            await _show("One publish, of publish_many", lambda: lambda: _publish(bus), rounds, console)
            async with _consuming(bus) as consume:
                await _show("One delivery, inbox in memory", consume, rounds, console)


async def _publish(bus: Bus) -> None:
    for at in range(0, EVENTS, PIECE):
        await bus.publish_many(map(order, range(at, at + PIECE)))


@asynccontextmanager
async def _consuming(bus: Bus) -> AsyncGenerator[Round]:
    seen = sent = 0

    @subscribe(OrderPlaced, prefetch=PREFETCH, concurrency=PREFETCH)
    async def count(event: OrderPlaced) -> None:  # noqa: ARG001 -- it is counted
        nonlocal seen
        seen += 1

    receipt = await bus.publish(order(0))
    published = _peer("publishing").last
    route = "events", OrderPlaced.__event_type__

    def prepare() -> Callable[[], Awaitable[None]]:
        first = sent + 1
        rows = [
            deliveries(published, receipt.event_id, first + at, PIECE, route)
            for at in range(0, EVENTS, PIECE)
        ]
        return lambda: consume(rows)

    async def consume(rows: list[bytes]) -> None:
        nonlocal sent
        for row in rows:
            while sent - seen > PREFETCH - PIECE:  # noqa: ASYNC110 -- an event for each would be counted
                await asyncio.sleep(0)
            sent += PIECE
            _peer("consuming").hand_over(row)
        while seen < sent:  # noqa: ASYNC110 -- as above
            await asyncio.sleep(0)

    async with bus.running(Service("bench", [count])):
        yield prepare


def _peer(purpose: str) -> Peer:
    peer = Loopback.opened[purpose].peer
    assert peer is not None  # noqa: S101
    return peer


async def _show(title: str, made: Round, rounds: int, console: Console) -> None:
    async with asyncio.timeout(WITHIN):
        await made()()  # what the first event finds out is known to the others
    steps: Counter[str] = Counter()
    calls: Counter[str] = Counter()
    work = made()
    with _counted(steps, calls):
        await work()
    took: list[float] = []
    for _ in range(rounds):
        work = made()
        gc.collect()
        gc.freeze()
        gc.set_threshold(10_000, *gc.get_threshold()[1:])
        began = time.process_time()
        async with asyncio.timeout(WITHIN):
            await work()
        took.append((time.process_time() - began) / EVENTS * 1e6)
    table = Table("file", title=title, title_justify="left")
    for heading in ("instructions", "calls"):
        table.add_column(heading, justify="right")
    for name, count in [*steps.most_common(), ("together", steps.total())]:
        called = calls.total() if name == "together" else calls[name]
        table.add_row(name, f"{count / EVENTS:,.1f}", f"{called / EVENTS:.1f}")
    console.print(table)
    middle = statistics.median(took)
    console.print(f"CPU: {min(took):.1f} µs at the least, {middle:.1f} in the middle of {rounds} rounds\n")


@contextmanager
def _counted(steps: Counter[str], calls: Counter[str]) -> Generator[None]:
    """Of everything in this thread but the benchmark itself."""
    names: dict[str, str] = {}

    def trace(frame: FrameType, event: str, _: object) -> Any:
        file = frame.f_code.co_filename
        if (name := names.get(file)) is None:
            name = names[file] = _name_of(Path(file))
        if not name:
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        if event == "opcode":
            steps[name] += 1
        elif event == "call":
            calls[name] += 1
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(before)


def _name_of(file: Path) -> str:
    """Of a file of eventbus; empty for the benchmark's own."""
    if file.is_relative_to(_BENCH):
        return ""
    return str(file.relative_to(_OURS)) if file.is_relative_to(_OURS) else "other Python"
