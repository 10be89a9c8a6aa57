"""Checks of the store: that it can be used, is the one that the workers have, and keeps nobody's events."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Final

from eventbus.diagnosis.facts import Facts
from eventbus.diagnosis.finding import Finding, Severity
from eventbus.store import StoreUnavailable

LEFT_AFTER: Final = 60.0
"""Seconds; a relay that runs takes what waits within a moment."""

_QUESTIONS: Final = {
    "postgresql": ("psql", "{url}", "-c", "SELECT 1"),
    "postgres": ("psql", "{url}", "-c", "SELECT 1"),
    "redis": ("redis-cli", "-u", "{url}", "ping"),
    "rediss": ("redis-cli", "-u", "{url}", "ping"),
}
"""What a person can ask of it, by the scheme of its URL."""


def useless_store(facts: Facts) -> Iterator[Finding]:
    if facts.store is None or (problem := facts.store.problem) is None:
        return
    if isinstance(problem, StoreUnavailable):
        why = problem.problem.rstrip(".")
        what = f"the store at {problem.url} is not available: {why}; nothing is handled until it is"
        yield Finding(Severity.SERIOUS, what, _how_to_reach(problem.url))
    else:
        what = f"a worker that starts here refuses its store: {str(problem).rstrip('.')}"
        fix = "mend that, or set EVENTBUS_STORE (or --store) to the store that the workers have"
        yield Finding(Severity.SERIOUS, what, fix)


def missing_store(facts: Facts) -> Iterator[Finding]:
    if facts.store is None or not facts.store.is_missing:
        return
    what = f"the store {facts.store.url} is not there: {facts.store.reason}"
    run = facts.command_on_services("run")
    fix = f"set EVENTBUS_STORE (or --store) to the store that the workers have, or start one with it: {run}"
    yield Finding(Severity.WARNING, what, fix)


def left_by_others(facts: Facts) -> Iterator[Finding]:
    for each in facts.of_others:
        age = each.backlog.oldest_age or 0.0
        if age < LEFT_AFTER:
            continue
        what = f"{each}: nobody has sent the oldest of them on for {age / 60:.0f} minutes"
        gone = shlex.join(("--of", each.bus))
        fix = f"{each.command}; where that bus is gone, add {gone} and name the broker that is to have them"
        yield Finding(Severity.WARNING, what, fix)


def _how_to_reach(url: str) -> str:
    if (question := _QUESTIONS.get(url.partition(":")[0])) is None:
        return "see who keeps its file locked, and whether its disk is full or broken"
    return f"start it, or mend the way to it: {shlex.join(word.format(url=url) for word in question)}"
