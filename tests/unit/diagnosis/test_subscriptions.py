"""Each check of subscriptions, over facts that no broker had to be brought into."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from eventbus import Batch
from eventbus.diagnosis import Finding, Severity, diagnose
from eventbus.diagnosis import subscriptions as of_subscriptions
from eventbus.transport import Drift
from tests.unit.diagnosis.patients import WELL, facts, only, payment, queue


def missing(*things: str) -> tuple[Drift, ...]:
    return tuple(Drift("missing", thing, "no such thing", "eventbus topology apply") for thing in things)


def test_all_that_is_missing_is_one_finding_with_one_command():
    finding = only(of_subscriptions.drift(facts(drifts=missing("queue a", "queue b", "queue c", "queue d"))))

    assert finding.severity is Severity.SERIOUS
    assert finding.what == "not there: queue a, queue b, queue c and 1 more"
    assert finding.fix == "eventbus topology apply shop:payment"


def test_what_is_there_and_differs_is_serious_and_what_is_there_too_much_is_a_warning():
    drifts = (
        Drift("changed", "queue a", "x-max-length is 5", "delete it, then eventbus topology apply"),
        Drift("unexpected", "binding b → a", "nobody asks for it", "unbind it"),
    )

    changed, unexpected = of_subscriptions.drift(facts(drifts=drifts))

    assert changed == Finding(
        Severity.SERIOUS,
        "changed: queue a: x-max-length is 5",
        "delete it, then eventbus topology apply shop:payment",
    )
    assert unexpected.severity is Severity.WARNING


def test_a_handler_that_may_outlast_the_broker_is_serious_and_its_fix_is_shorter():
    finding = only(of_subscriptions.handlers_longer_than_the_limit(facts(services=(payment(timeout=1800),))))

    assert finding.severity is Severity.SERIOUS
    assert "payment.charge" in finding.what
    assert "timeout=900" in finding.fix
    assert "EVENTBUS_CONSUMER_TIMEOUT" in finding.fix


def test_a_delivery_that_may_wait_too_long_behind_others_is_a_warning():
    slow = payment(timeout=600, concurrency=2, prefetch=6)  # the last of six takes three turns

    finding = only(of_subscriptions.waiting_in_the_prefetch(facts(services=(slow,))))

    assert finding.severity is Severity.WARNING
    assert "1800 s" in finding.what


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"timeout": 600, "concurrency": 2, "prefetch": 4},
        {"timeout": 1800},  # said already, and louder
        {"timeout": 600, "concurrency": 1, "batch": Batch(size=100)},  # two batches are two turns
    ],
)
def test_a_prefetch_that_is_worked_off_in_time_is_no_finding(options: dict[str, Any]):
    assert list(of_subscriptions.waiting_in_the_prefetch(facts(services=(payment(**options),)))) == []


def test_where_the_broker_waits_for_ever_no_timeout_is_too_long():
    unlimited = facts(report=replace(WELL, handling_limit=None), services=(payment(timeout=86_400),))

    assert list(diagnose(unlimited)) == []


def test_a_queue_that_nobody_empties_is_serious_when_something_is_in_it():
    idle, waiting = of_subscriptions.nobody_consumes(
        facts(queues=(queue(consumers=0), queue(queue="email.send", consumers=0, ready=2), queue(ready=9)))
    )

    assert (idle.severity, waiting.severity) == (Severity.WARNING, Severity.SERIOUS)
    assert waiting.what == "email.send: nobody consumes it, and 2 events waiting"
    assert waiting.fix == "eventbus run shop:payment"


def test_where_no_service_was_named_the_fix_names_the_one_that_is_missing():
    unnamed = facts(services=(), targets=(), queues=(queue(consumers=0),))

    assert "a worker of payment" in only(of_subscriptions.nobody_consumes(unnamed)).fix


def test_dead_letters_are_a_warning_and_serious_while_they_become_more():
    before = (queue(dead=3), queue(queue="email.send", dead=3))
    now = (queue(dead=3), queue(queue="email.send", dead=5))

    resting, growing = of_subscriptions.dead_letters(facts(before=before, queues=now))

    assert resting == Finding(
        Severity.WARNING, "payment.charge: 3 dead letters", "eventbus dead list payment.charge"
    )
    assert growing == Finding(
        Severity.SERIOUS,
        "email.send: 5 dead letters, 2 of them in the last 2 s",
        "eventbus dead stats email.send",
    )


def test_a_broker_without_subscriptions_is_worth_a_note():
    empty = facts(services=(), targets=(), before=(), queues=())

    assert only(of_subscriptions.nothing_to_look_at(empty)).severity is Severity.NOTE
    assert list(of_subscriptions.nothing_to_look_at(replace(empty, queues_unknown="401"))) == []


# --- commands


def test_a_command_can_be_pasted_whatever_a_queue_is_called():
    nasty = facts(queues=(queue(queue="a; rm -rf ~", dead=1),))

    assert only(of_subscriptions.dead_letters(nasty)).fix == "eventbus dead list 'a; rm -rf ~'"


def test_a_command_goes_to_the_broker_that_was_looked_at():
    elsewhere = facts(url="sqlite:///other.db", queues=(queue(dead=1),))

    assert only(of_subscriptions.dead_letters(elsewhere)).fix.endswith("--url sqlite:///other.db")
