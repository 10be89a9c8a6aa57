"""All checks, in the order in which their findings of one severity are told."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from eventbus.diagnosis import broker, store, subscriptions
from eventbus.diagnosis.facts import Facts
from eventbus.diagnosis.finding import Finding, Severity

Check = Callable[[Facts], Iterator[Finding]]

CHECKS: Final[Sequence[Check]] = (
    broker.old_version,
    broker.missing_features,
    broker.alarms,
    broker.held_up_connections,
    broker.held_back_delays,
    broker.undelivered_delays,
    store.useless_store,
    store.missing_store,
    store.left_by_others,
    broker.clock_skew,
    subscriptions.drift,
    subscriptions.handlers_longer_than_the_limit,
    subscriptions.waiting_in_the_prefetch,
    subscriptions.nobody_consumes,
    subscriptions.dead_letters,
    subscriptions.nothing_to_look_at,
    broker.unknowns,
)


def diagnose(facts: Facts) -> Sequence[Finding]:
    """What all checks have found, the worst first."""
    worst_first = list(Severity)
    found = [finding for check in CHECKS for finding in check(facts)]
    return sorted(found, key=lambda finding: worst_first.index(finding.severity))
