"""What this project wants to reach, mostly as ratios of one run: `script/bench all` says what is missed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

from bench.peers.cases import BOTH, CONSUME, LATENCY, MANY, ONE, RAW, WAITING, C
from bench.peers.job import Result
from bench.peers.rounds import Outcome

Verdict = Literal["met", "missed", "not measured"]


def rate(result: Result) -> float:
    return result.rate


def cpu(result: Result) -> float:
    return result.cpu_each


def percentile(name: str) -> Callable[[Result], float]:
    return partial(_percentile, name)


def _percentile(name: str, result: Result) -> float:
    return result.latency[name]


@dataclass(frozen=True, slots=True)
class Bar:
    """One figure of one side, alone or as a ratio to the same of another."""

    case: str
    side: str
    limit: float
    against: str = ""
    """The name of a side, or what the names of several begin with: then the best of them."""
    figure: Callable[[Result], float] = rate
    is_most: bool = False
    """Whether the limit must not be exceeded; else it must be reached."""
    unit: str = "x"

    def __str__(self) -> str:
        sign = "≤" if self.is_most else "≥"
        return f"{sign} {self.limit:g} {self.unit} {self.against}".rstrip()


@dataclass(frozen=True, slots=True)
class Judged:
    """A bar and how it came out."""

    bar: Bar
    value: float | None
    verdict: Verdict


_CONSUMER = "eventbus, inbox in memory"
_PUBLISHER = "eventbus, publish_many"
_AT_500 = LATENCY.format(rate=500)

BARS = (
    Bar(MANY, _PUBLISHER, 3.5, RAW),
    Bar(MANY, _PUBLISHER, 0.9, C),
    Bar(MANY, _PUBLISHER, 4.5, "FastStream"),
    Bar(MANY, _PUBLISHER, 4.5, "taskiq"),
    Bar(MANY, _PUBLISHER, 6.0, "Dramatiq"),
    Bar(MANY, _PUBLISHER, 12.0, "Celery"),
    Bar(ONE, "eventbus", 1.1, RAW),
    Bar(CONSUME, _CONSUMER, 5.0, RAW),
    *(Bar(CONSUME, _CONSUMER, 10.0, name) for name in ("FastStream", "taskiq", "Dramatiq", "Celery")),
    Bar(CONSUME, _CONSUMER, 0.9, C),
    Bar(WAITING, _CONSUMER, 3.5, RAW),
    Bar(CONSUME, "eventbus, inbox in SQLite", 2.0, RAW),
    Bar(BOTH, "eventbus", 4.0, RAW),
    Bar(BOTH, "eventbus", 6.0, "FastStream"),
    Bar(_AT_500, "eventbus", 0.7, RAW, percentile("p50"), is_most=True, unit="x p50 of"),
    Bar(_AT_500, "eventbus", 0.6, RAW, percentile("p99"), is_most=True, unit="x p99 of"),
    Bar(MANY, _PUBLISHER, 12.0, figure=cpu, is_most=True, unit="µs CPU"),
    Bar(CONSUME, _CONSUMER, 18.0, figure=cpu, is_most=True, unit="µs CPU"),
)


def judge(outcomes: Sequence[Outcome], bars: Sequence[Bar] = BARS) -> list[Judged]:
    """In the order of the bars."""
    by_title = {outcome.case.title: outcome for outcome in outcomes}
    return [_judge(bar, by_title) for bar in bars]


def _judge(bar: Bar, outcomes: Mapping[str, Outcome]) -> Judged:
    outcome = outcomes.get(bar.case)
    value = _value(bar, outcome) if outcome is not None else None
    if value is None:
        return Judged(bar, None, "not measured")
    is_met = value <= bar.limit if bar.is_most else value >= bar.limit
    return Judged(bar, value, "met" if is_met else "missed")


def _value(bar: Bar, outcome: Outcome) -> float | None:
    mine = outcome.sides.get(bar.side)
    if mine is None or not mine.results:
        return None
    if not bar.against:
        return mine.median(bar.figure)
    against = _best(outcome, bar.against)
    ratio = outcome.ratio(bar.side, against, bar.figure) if against else None
    return ratio.median if ratio else None


def _best(outcome: Outcome, name: str) -> str | None:
    """That side itself, else the fastest of its ways."""
    if name in outcome.sides:
        return name
    ways = [side for side in outcome.sides.values() if side.name.startswith(f"{name},") and side.results]
    return max(ways, key=lambda side: side.median(rate)).name if ways else None
