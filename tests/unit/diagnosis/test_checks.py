"""Each check, over facts that no broker had to be brought into."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from eventbus import Batch, Service, subscribe
from eventbus.broker_report import BrokerConnection, BrokerReport
from eventbus.diagnosis import CHECKS, Facts, Finding, Severity, diagnose
from eventbus.diagnosis import broker as of_broker
from eventbus.diagnosis import subscriptions as of_subscriptions
from eventbus.transport import Drift, QueueStats

WELL = BrokerReport(
    "RabbitMQ", "3.10.8", "3.10", handling_limit=1800.0, features={"quorum_queue": True}, management=True
)
TARGETS = ("shop:payment",)


def queue(**changes: Any) -> QueueStats:
    well = QueueStats(
        queue="payment.charge", ready=0, in_flight=0, delayed=0, dead=0, oldest_age=None, consumers=1
    )
    return replace(well, **changes)


def payment(**options: Any) -> Service:
    def charge(event: dict[str, Any]) -> None:
        pass

    def charge_many(events: list[dict[str, Any]]) -> None:
        pass

    handler: Callable[..., None] = charge_many if "batch" in options else charge
    return Service("payment", [subscribe("order.created", name="charge", **options)(handler)])


def facts(**changes: Any) -> Facts:
    well = Facts(WELL, services=(payment(),), targets=TARGETS, before=(queue(),), queues=(queue(),))
    return replace(well, **changes)


def report(**changes: Any) -> Facts:
    return facts(report=replace(WELL, **changes))


def only(findings: Iterator[Finding]) -> Finding:
    (finding,) = findings
    return finding


def test_where_all_is_well_nothing_is_found():
    assert list(diagnose(facts())) == []


def test_the_worst_is_told_first():
    found = diagnose(
        facts(
            report=replace(WELL, alarms=("disk alarm on rabbit@one",), unknown={"feature flags": "401"}),
            before=(queue(dead=3),),
            queues=(queue(dead=3), queue(queue="email.send", consumers=0, ready=2)),
        )
    )

    assert [finding.severity for finding in found] == ["serious", "serious", "warning", "note"]
    assert found[0].what.startswith("disk alarm")


def test_every_check_is_asked():
    written = {
        check
        for module in (of_broker, of_subscriptions)
        for name, check in vars(module).items()
        if not name.startswith("_") and getattr(check, "__annotations__", {}).get("facts") == "Facts"
    }
    assert written == set(CHECKS)


# --- the broker


@pytest.mark.parametrize(
    ("version", "is_found"),
    [("3.9.29", True), ("3.10.0", False), ("3.13.7", False), ("4.0.5-rc.1", False), ("10.0", False)],
)
def test_a_version_is_compared_by_its_numbers(version: str, is_found: bool):
    found = list(of_broker.old_version(report(version=version)))

    assert [each.severity for each in found] == ([Severity.SERIOUS] if is_found else [])


def test_a_feature_flag_that_is_off_comes_with_the_command_that_enables_it():
    finding = only(of_broker.missing_features(report(features={"quorum_queue": True, "stream_queue": False})))

    assert finding.severity is Severity.SERIOUS
    assert finding.fix == "rabbitmqctl enable_feature_flag stream_queue"


def test_a_feature_that_nobody_could_ask_about_is_not_said_to_be_missing():
    assert list(of_broker.missing_features(report(features={"stream_queue": None}))) == []


@pytest.mark.parametrize(
    ("alarm", "fix"),
    [
        ("memory alarm on rabbit@one", "rabbitmq-diagnostics memory_breakdown"),
        ("disk alarm on rabbit@one", "free disk space"),
        ("file_descriptor_limit alarm on rabbit@one", "rabbitmq-diagnostics alarms"),
    ],
)
def test_an_alarm_is_serious_and_its_fix_fits_it(alarm: str, fix: str):
    finding = only(of_broker.alarms(report(alarms=(alarm,))))

    assert finding.severity is Severity.SERIOUS
    assert alarm in finding.what
    assert fix in finding.fix


def test_alarms_that_are_not_known_are_not_told():
    assert list(of_broker.alarms(report(alarms=None))) == []
    assert list(of_broker.held_up_connections(report(connections=None))) == []


def test_blocked_connections_are_named_a_few_of_them():
    states = ["running", "flow", "blocking", "blocked", "blocked", "blocked", "blocked", "blocked"]
    connections = tuple(
        BrokerConnection(f"eventbus order {number}", "shop", state, "publishing")
        for number, state in enumerate(states)
    )

    finding = only(of_broker.held_up_connections(report(connections=connections)))

    assert finding.severity is Severity.SERIOUS
    assert "eventbus order 3 of user shop (publishing) is blocked" in finding.what
    assert finding.what.endswith("and 2 more")


@pytest.mark.parametrize(
    ("ahead", "severity"),
    [
        (None, None),
        (0.0, None),
        (5.0, None),
        (-6.0, Severity.WARNING),
        (60.0, Severity.WARNING),
        (61.0, Severity.SERIOUS),
        (-3600.0, Severity.SERIOUS),
    ],
)
def test_a_clock_that_is_off_is_told_by_how_far(ahead: float | None, severity: Severity | None):
    found = list(of_broker.clock_skew(report(clock_ahead=ahead)))

    assert [each.severity for each in found] == ([] if severity is None else [severity])


def test_a_clock_is_said_to_be_ahead_or_behind():
    assert "90 s ahead of" in only(of_broker.clock_skew(report(clock_ahead=90.0))).what
    assert "90 s behind" in only(of_broker.clock_skew(report(clock_ahead=-90.0))).what


def test_without_the_management_api_a_warning_names_what_is_not_known_therefore():
    unknown = {"alarms": "http://mq:15672: refused", "clock": "http://mq:15672: refused"}

    finding = only(of_broker.unknowns(report(management=False, unknown=unknown)))

    assert finding.severity is Severity.WARNING
    assert "not known: alarms, clock (http://mq:15672: refused)" in finding.what
    assert "rabbitmq-plugins enable rabbitmq_management" in finding.fix


def test_queues_that_cannot_be_listed_are_named_among_what_is_not_known():
    finding = only(of_broker.unknowns(facts(queues_unknown="the list comes from the management API")))

    assert "the list of queues" in finding.what


def test_what_only_an_administrator_may_see_is_worth_a_note():
    finding = only(of_broker.unknowns(report(unknown={"feature flags": "answers 401 Unauthorized"})))

    assert finding.severity is Severity.NOTE


# --- subscriptions


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
