"""Rounds of a case: its sides in rotating order, as many events each as take the time that is wanted."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from bench.peers.cases import Case, Side
from bench.peers.job import Result

FEWEST = 200
SHORTEST = 0.8
MOST_TRIES = 4
CALIBRATING = 1500
"""Events of the first run of a side, which is not counted but tells how fast it is: more than a prefetch."""
CALIBRATING_SECONDS = 0.5
"""The same where the rate is given."""
MOST_GROWTH = 20
"""From one run of a side to its next: a short run may look faster than any is."""

RunSide = Callable[[Side], Result]


class TooShort(RuntimeError):
    """A run that would say more about its beginning than about its speed."""


class Unavailable(Exception):
    """Why a client cannot run here."""


@dataclass
class Measured:
    """One side over the rounds; None for a round in which it failed."""

    name: str
    rounds: list[Result | None] = field(default_factory=list[Result | None])
    trouble: str = ""
    """Why there is nothing, or not as much as there should be."""

    @property
    def results(self) -> list[Result]:
        return [result for result in self.rounds if result is not None]

    def median(self, figure: Callable[[Result], float]) -> float:
        return statistics.median(map(figure, self.results))


@dataclass(frozen=True, slots=True)
class Ratio:
    """Of same rounds."""

    median: float
    least: float
    most: float


@dataclass
class Outcome:
    """A case with its figures."""

    case: Case
    sides: dict[str, Measured]

    def ratio(self, side: str, against: str, figure: Callable[[Result], float]) -> Ratio | None:
        """None where the two have no round in common."""
        mine, theirs = self.sides.get(side), self.sides.get(against)
        if mine is None or theirs is None:
            return None
        ratios = [
            figure(one) / figure(other)
            for one, other in zip(mine.rounds, theirs.rounds, strict=False)
            if one is not None and other is not None
        ]
        return Ratio(statistics.median(ratios), min(ratios), max(ratios)) if ratios else None


def measure(
    case: Case, rounds: int, seconds: float, run: RunSide, failures: tuple[type[Exception], ...]
) -> Outcome:
    """Every side once to learn its speed, then `rounds` times each."""
    measured = {side.name: Measured(side.name) for side in case.sides}
    last: dict[str, tuple[int, float]] = {}
    for number in range(-1, rounds):
        turn = number % len(case.sides)
        for side in rotated(case.sides, turn):
            mine = measured[side.name]
            if mine.trouble and not mine.results:
                continue
            try:
                result = _long_enough(case, side, seconds if number >= 0 else 0.0, last, run)
            except Unavailable as reason:
                mine.trouble = f"not available: {reason}"
                continue
            except failures as failure:
                mine.trouble = f"failed: {failure}"
                if number >= 0:
                    mine.rounds.append(None)
                continue
            if number >= 0:
                mine.rounds.append(result)
    return Outcome(case, measured)


def _long_enough(
    case: Case, side: Side, seconds: float, last: dict[str, tuple[int, float]], run: RunSide
) -> Result:
    """A run of about `seconds`. One of less than `SHORTEST` of it is run again with more events.

    Of a short run the larger part is beginning: what lay in the prefetch when the time began.
    """
    for _ in range(MOST_TRIES):
        sized = _sized(case, side, seconds, last.get(side.name))
        sys.stderr.write(f"bench: {case.title}: {side.name}, {sized.job.count} events\n")
        result = run(sized)
        last[side.name] = sized.job.count, result.rate / _deliveries(side)
        if case.rate or result.seconds >= SHORTEST * seconds:
            return result
    raise TooShort(f"{result.seconds:.2f} s with {sized.job.count} events, {seconds:g} s were wanted")


def rotated(sides: Sequence[Side], turn: int) -> list[Side]:
    return [*sides[turn:], *sides[:turn]]


def _sized(case: Case, side: Side, seconds: float, last: tuple[int, float] | None) -> Side:
    """The side with as many events as take it about so many seconds; `last`: how many went how fast."""
    if case.rate:
        count = int(case.rate * (seconds if last else CALIBRATING_SECONDS))
    elif last is None:
        count = CALIBRATING // side.job.subscriptions
    else:
        count = max(FEWEST, min(int(last[1] * seconds * 1.15), last[0] * MOST_GROWTH))
    return replace(side, job=replace(side.job, count=count))


def _deliveries(side: Side) -> int:
    """That an event is where it is consumed, and where they are what is counted."""
    return side.job.subscriptions if side.job.work == "consume" else 1
