"""Clocks, counters and percentiles of a run. Standard library only: it works in every environment."""

from __future__ import annotations

import asyncio
import gc
import os
import time
from collections.abc import Sequence
from pathlib import Path

from bench.peers.job import Result

TICK = os.sysconf("SC_CLK_TCK")


class Meter:
    """Time and CPU between `begin` and `end`."""

    def __init__(self) -> None:
        self.began = self._cpu_began = 0.0
        self.seconds = self.cpu = 0.0

    def begin(self) -> None:
        """The collector is spared what is there and in hand, for all clients, as `eventbus run` does."""
        gc.collect()
        gc.freeze()
        gc.set_threshold(10_000, *gc.get_threshold()[1:])
        self._cpu_began = cpu_seconds()
        self.began = time.perf_counter()

    def end(self) -> None:
        self.seconds = time.perf_counter() - self.began
        self.cpu = cpu_seconds() - self._cpu_began

    def result(self, count: int, *, sent: int = 0, latency: dict[str, float] | None = None) -> Result:
        return Result(count, sent, self.seconds, self.cpu, latency or {})


class Tally:
    """Counts what is handled. The first of `wanted` begins the time and is not counted, the last ends it."""

    def __init__(self, wanted: int, meter: Meter) -> None:
        self.seen = 0
        self.done = asyncio.Event()
        self._wanted = wanted
        self._meter = meter

    def count(self) -> None:
        self.seen += 1
        if self.seen == 1 and not self._meter.began:
            self._meter.begin()
        elif self.seen == self._wanted:
            self._meter.end()
            self.done.set()


def cpu_seconds() -> float:
    """Of this process and of its living children, which count in ticks of the kernel."""
    return time.process_time() + sum(map(_cpu_of, _children(os.getpid())))


def tree_cpu_seconds(root: int) -> float:
    """Of a process and its living children, all in ticks; any of them may ask."""
    return sum(map(_cpu_of, [root, *_children(root)]))


def percentiles(seconds: Sequence[float]) -> dict[str, float]:
    """In milliseconds; the nearest rank."""
    ordered = sorted(seconds)
    last = len(ordered) - 1
    return {
        name: ordered[min(last, int(part * len(ordered)))] * 1e3
        for name, part in (("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999))
    }


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for listed in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = [int(word) for word in listed.read_text(encoding="ascii").split()]
        except OSError:
            continue
        for child in children:
            found += [child, *_children(child)]
    return found


def _cpu_of(pid: int) -> float:
    """User and system time; proc(5): fields 14 and 15, the name in field 2 ends with ")"."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICK
