"""Checks of the broker itself: version, features, alarms, connections, clock, and what it does not tell."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from eventbus.counted import many
from eventbus.diagnosis.facts import Facts
from eventbus.diagnosis.finding import Finding, Severity

SKEW: Final = 5.0
"""Seconds between two clocks that are worth a warning."""
BAD_SKEW: Final = 60.0
AT_A_TIME: Final = 32
"""So many due messages the broker hands over before the first of them is taken: as many are on their way, and
where these are never taken, nothing behind them is."""

_NAMED: Final = 3
_ALARM_FIXES: Final = {
    "memory": "see what fills it: rabbitmq-diagnostics memory_breakdown",
    "disk": "free disk space on that node: rabbitmq-diagnostics status",
}


def old_version(facts: Facts) -> Iterator[Finding]:
    report = facts.report
    if report.is_too_old:
        what = f"{report.product} {report.version} is too old: {report.oldest_version} or newer is needed"
        yield Finding(Severity.SERIOUS, what, f"upgrade {report.product}")


def missing_features(facts: Facts) -> Iterator[Finding]:
    for name, enabled in facts.report.features.items():
        if enabled is False:
            what = f"the feature flag {name} is not enabled: queues or history cannot be declared"
            yield Finding(Severity.SERIOUS, what, f"rabbitmqctl enable_feature_flag {name}")


def alarms(facts: Facts) -> Iterator[Finding]:
    for alarm in facts.report.alarms or ():
        fix = _ALARM_FIXES.get(alarm.partition(" ")[0], "rabbitmq-diagnostics alarms")
        yield Finding(Severity.SERIOUS, f"{alarm}: nobody can publish", fix)


def held_up_connections(facts: Facts) -> Iterator[Finding]:
    if not (held_up := facts.report.held_up):
        return
    named = [
        f"{each.name} of user {each.user}{f' ({each.purpose})' if each.purpose else ''} is {each.state}"
        for each in held_up
    ]
    what = f"connections that the broker takes no messages from: {some(named)}"
    yield Finding(Severity.SERIOUS, what, "they go on when the alarm is over: rabbitmq-diagnostics alarms")


def held_back_delays(facts: Facts) -> Iterator[Finding]:
    if (held_back := facts.report.held_back or 0) <= AT_A_TIME:
        return
    what = (
        f"{held_back} retries and delayed events are due, and their queue does not take them: a full queue "
        "holds up those of all others"
    )
    fix = "raise its limit, and wait three minutes: docs/how-to/find-what-is-wrong.md"
    yield Finding(Severity.SERIOUS, what, fix)


def undelivered_delays(facts: Facts) -> Iterator[Finding]:
    if not (undelivered := facts.report.undelivered):
        return
    place = facts.report.undelivered_among
    what = (
        f"{many(undelivered, 'retry or delayed event', 'retries and delayed events')} came due while their "
        f"queue was not there: among the dead letters of {place}"
    )
    yield Finding(Severity.SERIOUS, what, facts.command("dead", "list", place))


def clock_skew(facts: Facts) -> Iterator[Finding]:
    if (ahead := facts.report.clock_ahead) is None or abs(ahead) <= SKEW:
        return
    severity = Severity.SERIOUS if abs(ahead) > BAD_SKEW else Severity.WARNING
    than = "ahead of" if ahead > 0 else "behind"
    what = f"the broker's clock is {abs(ahead):.0f} s {than} this machine's"
    yield Finding(severity, what, "let both follow NTP: timedatectl set-ntp true")


def unknowns(facts: Facts) -> Iterator[Finding]:
    report = facts.report
    missing = [*report.unknown, *(["the list of queues"] if facts.queues_unknown else [])]
    if not missing:
        return
    reasons = "; ".join(dict.fromkeys(report.unknown.values())) or facts.queues_unknown
    what = f"not known: {', '.join(missing)} ({reasons})"
    if report.management is False:
        fix = (
            "rabbitmq-plugins enable rabbitmq_management, or point EVENTBUS_MANAGEMENT_URL at it; "
            "where it refuses the user: rabbitmqctl set_user_tags USER monitoring"
        )
        yield Finding(Severity.WARNING, f"the management API does not answer us; {what}", fix)
    else:
        fix = "ask as an administrator: set EVENTBUS_MANAGEMENT_URL to http://user:password@host:15672"
        yield Finding(Severity.NOTE, what, fix)


def some(names: Sequence[str]) -> str:
    """The first few, and how many more there are."""
    more = len(names) - _NAMED
    return f"{', '.join(names[:_NAMED])}{f' and {more} more' if more > 0 else ''}"
