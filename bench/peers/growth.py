"""How the cost grows: with the depth of the queue, the payload, subscriptions, bindings and workers."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from rich.console import Console
from rich.table import Table

from bench.peers.job import Job, Result, Work
from bench.peers.rounds import CALIBRATING, FEWEST, MOST_GROWTH
from bench.peers.running import Runner

DEPTHS = (0, 10_000, 100_000)
DEEPEST = 1_000_000
SIZES = (300, 1_000, 10_000, 100_000)
SUBSCRIPTIONS = (1, 3, 10, 30)
BINDINGS = (1, 100, 1_000, 10_000)
WORKERS = (1, 2, 4)
"""Processes on one queue."""

PUBLISH: Work = "publish many"
CONSUME: Work = "consume"


@dataclass(frozen=True, slots=True)
class Point:
    """One place on a curve."""

    at: int
    run: Callable[[int], list[Result]]
    """Of so many events; several results where several processes work at once."""
    deliveries: int = 1
    """For each of that many: to several subscriptions, or in several workers."""


@dataclass
class Curve:
    """The same work, more and more of one thing."""

    title: str
    of: str
    points: Sequence[Point]


def curves(runner: Runner, *, deep: bool) -> list[Curve]:
    """All that are measured; `deep`: with a queue of a million, which takes a minute to fill each time."""
    job = Job("eventbus", PUBLISH, "")

    def one(job: Job, **around: int) -> Callable[[int], list[Result]]:
        return lambda count: [runner.run(replace(job, count=count), **around)]

    def side_by_side(workers: int) -> Callable[[int], list[Result]]:
        return lambda count: runner.run_side_by_side(replace(job, work=CONSUME, count=count), workers)

    depths = (*DEPTHS, DEEPEST) if deep else DEPTHS
    works = (PUBLISH, CONSUME)
    return [
        *(
            Curve(
                f"{work}, messages that wait already",
                "messages",
                [Point(depth, one(replace(job, work=work), waiting=depth)) for depth in depths],
            )
            for work in works
        ),
        *(
            Curve(
                f"{work}, bytes of a message",
                "bytes",
                [Point(size, one(replace(job, work=work, size=size))) for size in SIZES],
            )
            for work in works
        ),
        *(
            Curve(
                f"{work}, subscriptions",
                "subscriptions",
                [
                    Point(
                        many, one(replace(job, work=work, subscriptions=many)), many if work == CONSUME else 1
                    )
                    for many in SUBSCRIPTIONS
                ],
            )
            for work in works
        ),
        Curve(
            f"{PUBLISH}, bindings of the exchange",
            "bindings",
            [Point(many, one(job, bindings=many)) for many in BINDINGS],
        ),
        Curve(
            f"{CONSUME}, workers on one queue",
            "workers",
            [Point(many, side_by_side(many), many) for many in WORKERS],
        ),
    ]


def run(
    runner: Runner, rounds: int, seconds: float, console: Console, *, deep: bool, only: str = ""
) -> list[dict[str, object]]:
    """Print a table for each curve; the same as JSON."""
    made: list[dict[str, object]] = []
    for curve in [curve for curve in curves(runner, deep=deep) if only in curve.title]:
        figures = _measure(curve, rounds, seconds)
        console.print(_table(curve, figures))
        made.append(
            {
                "title": curve.title,
                "points": [
                    {"at": point.at, "events_per_second": rates, "cpu_microseconds": cpus}
                    for point, (rates, cpus) in zip(curve.points, figures, strict=True)
                ],
            }
        )
    return made


Figures = tuple[list[float], list[float]]
"""Events per second and microseconds of CPU each, a figure for each round."""


def _measure(curve: Curve, rounds: int, seconds: float) -> list[Figures]:
    """Alternating, as everything here."""
    counts = [CALIBRATING // point.deliveries for point in curve.points]
    figures: list[Figures] = [([], []) for _ in curve.points]
    for number in range(-1, rounds):
        for index, point in enumerate(curve.points):
            sys.stderr.write(f"bench: {curve.title}: {point.at}, {counts[index]} events\n")
            results = point.run(counts[index])
            rate = sum(result.rate for result in results)
            wanted = int(rate * seconds / point.deliveries)
            counts[index] = max(FEWEST, min(wanted, counts[index] * MOST_GROWTH))
            if number >= 0:
                figures[index][0].append(rate)
                figures[index][1].append(statistics.mean(result.cpu_each for result in results))
    return figures


def _table(curve: Curve, figures: Sequence[Figures]) -> Table:
    table = Table(title=curve.title, title_justify="left")
    for heading in (curve.of, "events/s", "CPU µs/event", "ratio to the first", "least", "most"):
        table.add_column(heading, justify="right")
    first = figures[0][0]
    for point, (rates, cpus) in zip(curve.points, figures, strict=True):
        ratios = [mine / base for mine, base in zip(rates, first, strict=True)]
        table.add_row(
            f"{point.at:,}",
            f"{statistics.median(rates):,.0f}",
            f"{statistics.median(cpus):.1f}",
            *(f"{value:.2f}" for value in (statistics.median(ratios), min(ratios), max(ratios))),
        )
    return table
