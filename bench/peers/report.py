"""The figures as tables for a terminal, and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.table import Table

from bench.peers.bars import Judged, cpu, percentile, rate
from bench.peers.rounds import Measured, Outcome

PERCENTILES = ("p50", "p99", "p99.9")


def table(outcome: Outcome) -> Table:
    """One row a side."""
    return _latencies(outcome) if outcome.case.rate else _rates(outcome)


def _rates(outcome: Outcome) -> Table:
    case = outcome.case
    made = _titled(
        case.title, "side", "events/s", "CPU µs/event", f"ratio to {case.against}", "least", "most", "s a run"
    )
    for side in outcome.sides.values():
        if not side.results:
            made.add_row(side.name, side.trouble)
            continue
        ratio = outcome.ratio(side.name, case.against, rate)
        made.add_row(
            _named(side),
            f"{side.median(rate):,.0f}",
            f"{side.median(cpu):.1f}",
            *([f"{each:.2f}" for each in (ratio.median, ratio.least, ratio.most)] if ratio else [""] * 3),
            f"{min(result.seconds for result in side.results):.1f}",
        )
    return made


def _latencies(outcome: Outcome) -> Table:
    case = outcome.case
    headings = [f"{name} ms" for name in PERCENTILES]
    made = _titled(case.title, "side", *headings, "p50 ratio", "p99 ratio", "CPU µs/event", "events/s")
    for side in outcome.sides.values():
        if not side.results:
            made.add_row(side.name, side.trouble)
            continue
        ratios = [outcome.ratio(side.name, case.against, percentile(name)) for name in ("p50", "p99")]
        made.add_row(
            _named(side),
            *(f"{side.median(percentile(name)):.2f}" for name in PERCENTILES),
            *(f"{ratio.median:.2f}" if ratio else "" for ratio in ratios),
            f"{side.median(cpu):.0f}",
            f"{side.median(rate):,.0f}" + ("" if side.median(rate) > 0.95 * case.rate else " (behind)"),
        )
    return made


ENOUGH_ROUNDS = 5
ENOUGH_SECONDS = 3.0
BUSY = 1.0
"""Of the load average for each core, before a run: what others take of the machine."""


def doubts(rounds: int, seconds: float, load_each: float) -> list[str]:
    """Why the verdicts of this run decide nothing; empty where they do."""
    found: list[str] = []
    if rounds < ENOUGH_ROUNDS:
        found.append(f"{rounds} rounds, {ENOUGH_ROUNDS} are needed")
    if seconds < ENOUGH_SECONDS:
        found.append(f"runs of {seconds:g} s, {ENOUGH_SECONDS:g} s are needed")
    if load_each > BUSY:
        found.append(
            f"the machine was busy with other work: a load of {load_each:.1f} for each core before it"
        )
    return found


def bar_table(judged: Sequence[Judged]) -> Table:
    """What was to be reached, and what was."""
    made = _titled("Reach", "work", "side", "reach", "measured", "")
    for one in judged:
        value = "" if one.value is None else f"{one.value:.2f}"
        made.add_row(one.bar.case, one.bar.side, str(one.bar), value, one.verdict)
    return made


def as_json(
    outcomes: Sequence[Outcome], judged: Sequence[Judged], facts: dict[str, str], command: str
) -> dict[str, Any]:
    """Every figure of every round."""
    return {
        "command": command,
        "versions": facts,
        "cases": [
            {
                "title": outcome.case.title,
                "against": outcome.case.against,
                "sides": [_side_as_json(outcome, side) for side in outcome.sides.values()],
            }
            for outcome in outcomes
        ],
        "reach": [
            {
                "work": one.bar.case,
                "side": one.bar.side,
                "reach": str(one.bar),
                "measured": one.value,
                "verdict": one.verdict,
            }
            for one in judged
        ],
    }


def _side_as_json(outcome: Outcome, side: Measured) -> dict[str, Any]:
    ratio = outcome.ratio(side.name, outcome.case.against, rate)
    return {
        "name": side.name,
        "trouble": side.trouble or None,
        "events_per_second": side.median(rate) if side.results else None,
        "cpu_microseconds": side.median(cpu) if side.results else None,
        "ratio": asdict(ratio) if ratio else None,
        "rounds": [asdict(result) if result else None for result in side.rounds],
    }


def _named(side: Measured) -> str:
    """With a mark where a round failed."""
    missing = side.rounds.count(None)
    return f"{side.name} ({missing} of {len(side.rounds)} rounds failed)" if missing else side.name


def _titled(title: str, *headings: str) -> Table:
    made = Table(title=title, title_justify="left")
    for number, heading in enumerate(headings):
        made.add_column(heading, justify="left" if number == 0 or not heading else "right")
    return made
