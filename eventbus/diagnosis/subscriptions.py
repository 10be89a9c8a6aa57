"""Checks of subscriptions: drift, time to handle, queues that nobody empties, dead letters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from eventbus.counted import many
from eventbus.diagnosis.broker import some
from eventbus.diagnosis.facts import BETWEEN_LOOKS, Facts
from eventbus.diagnosis.finding import Finding, Severity
from eventbus.handling_time import longest_hold, too_long
from eventbus.transport import APPLY

_WEIGHTS: Final[Mapping[str, Severity]] = {
    "changed": Severity.SERIOUS,
    "unexpected": Severity.WARNING,
    "unknown": Severity.NOTE,
}


def drift(facts: Facts) -> Iterator[Finding]:
    apply = facts.command_on_services("topology", "apply")
    if missing := [each.what for each in facts.drifts if each.kind == "missing"]:
        yield Finding(Severity.SERIOUS, f"not there: {some(missing)}", apply)
    for each in facts.drifts:
        if each.kind == "missing":
            continue
        found = f"{each.kind}: {each.what}: {each.found}"
        yield Finding(_WEIGHTS[each.kind], found, each.fix.replace(APPLY, apply))


def handlers_longer_than_the_limit(facts: Facts) -> Iterator[Finding]:
    limit = facts.report.handling_limit
    for member in too_long(facts.services, limit):
        what = (
            f"{member.queue}: its timeout of {member.subscription.timeout:g} s reaches the {limit:g} s after "
            "which the broker takes a delivery back"
        )
        fix = (
            f"@subscribe(…, timeout={_below(limit or 0):g}), or raise consumer_timeout in rabbitmq.conf "
            "and EVENTBUS_CONSUMER_TIMEOUT"
        )
        yield Finding(Severity.SERIOUS, what, fix)


def waiting_in_the_prefetch(facts: Facts) -> Iterator[Finding]:
    if (limit := facts.report.handling_limit) is None:
        return
    for member in (member for service in facts.services for member in service):
        subscription = member.subscription
        held = longest_hold(subscription)
        if subscription.timeout < limit <= held:
            what = (
                f"{member.queue}: {many(subscription.prefetch, 'delivery', 'deliveries')} fetched ahead, "
                f"{many(subscription.concurrency, 'run')} side by side: the last may be held for {held:g} s; "
                f"the broker takes it back after {limit:g} s"
            )
            yield Finding(Severity.WARNING, what, "@subscribe(…) with a smaller prefetch or timeout")


def nobody_consumes(facts: Facts) -> Iterator[Finding]:
    for each in facts.queues:
        if each.consumers:
            continue
        severity = Severity.SERIOUS if each.ready else Severity.WARNING
        waiting = f", and {many(each.ready, 'event')} waiting" if each.ready else ""
        service = each.queue.rpartition(".")[0]
        run = facts.command_on_services("run")
        fix = run if facts.targets else f"start a worker of {service or 'its service'}: {run}"
        yield Finding(severity, f"{each.queue}: nobody consumes it{waiting}", fix)


def dead_letters(facts: Facts) -> Iterator[Finding]:
    before = {each.queue: each.dead for each in facts.before}
    for each in facts.queues:
        if not each.dead:
            continue
        what = f"{each.queue}: {many(each.dead, 'dead letter')}"
        if (more := each.dead - before.get(each.queue, each.dead)) > 0:
            grown = f"{what}, {more} of them in the last {BETWEEN_LOOKS:g} s"
            yield Finding(Severity.SERIOUS, grown, facts.command("dead", "stats", each.queue))
        else:
            yield Finding(Severity.WARNING, what, facts.command("dead", "list", each.queue))


def nothing_to_look_at(facts: Facts) -> Iterator[Finding]:
    if not facts.services and not facts.queues and facts.queues_unknown is None:
        fix = facts.command_on_services("run")
        yield Finding(Severity.NOTE, "there is no subscription on this broker yet", fix)


def _below(limit: float) -> float:
    """A timeout that leaves room for settling, and for the broker to look only once a minute."""
    return max(1.0, limit // 2)
