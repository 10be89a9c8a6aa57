"""Rounds that alternate between the sides of a case, and the table that they end in.

The machine may be shared and noisy: a figure counts only as a ratio of two things run alternately in one go.
"""

from __future__ import annotations

import asyncio
import gc
import statistics
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table


async def nothing() -> None:
    """Needs no preparation."""


@dataclass(frozen=True, slots=True)
class Side:
    """One way to do the work of a round."""

    work: Callable[[], Awaitable[int]]
    """Returns how many events it moved."""
    prepare: Callable[[], Awaitable[None]] = nothing
    """Not timed."""


@dataclass(frozen=True, slots=True)
class Rates:
    """Events per second of one side, a figure for each round."""

    name: str
    wall: tuple[float, ...]
    cpu: tuple[float, ...]
    """Microseconds of this process's CPU time an event."""

    @property
    def median(self) -> float:
        return statistics.median(self.wall)


async def alternate(sides: dict[str, Side], rounds: int) -> list[Rates]:
    """Every side once as a warm-up, then `rounds` times each in rotating order."""
    names = list(sides)
    walls: dict[str, list[float]] = {name: [] for name in names}
    cpus: dict[str, list[float]] = {name: [] for name in names}
    for number in range(-1, rounds):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            await sides[name].prepare()
            gc.collect()
            await asyncio.sleep(0.1)  # let the broker finish what the last side left
            began, cpu_began = time.perf_counter(), time.process_time()
            count = await sides[name].work()
            took, cpu = time.perf_counter() - began, time.process_time() - cpu_began
            if number >= 0:
                walls[name].append(count / took)
                cpus[name].append(cpu / count * 1e6)
    return [Rates(name, tuple(walls[name]), tuple(cpus[name])) for name in names]


def show(title: str, rates: list[Rates], against: str, console: Console) -> None:
    """One row a side: the median rate, and the median and spread of its same-round ratios to `against`."""
    table = Table(title=title, title_justify="left")
    for heading in ("side", "events/s", "CPU µs/event", f"ratio to {against}", "least", "most"):
        table.add_column(heading, justify="left" if heading == "side" else "right")
    reference = next(each for each in rates if each.name == against)
    for each in rates:
        ratios = [mine / theirs for mine, theirs in zip(each.wall, reference.wall, strict=True)]
        table.add_row(
            each.name,
            f"{each.median:,.0f}",
            f"{statistics.median(each.cpu):.0f}",
            f"{statistics.median(ratios):.2f}",
            f"{min(ratios):.2f}",
            f"{max(ratios):.2f}",
        )
    console.print(table)
