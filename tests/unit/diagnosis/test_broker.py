"""Each check of the broker, over facts that no broker had to be brought into."""

from __future__ import annotations

import pytest

from eventbus.broker_report import BrokerConnection
from eventbus.diagnosis import Severity
from eventbus.diagnosis import broker as of_broker
from tests.unit.diagnosis.patients import facts, only, report


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


@pytest.mark.parametrize(("held_back", "is_found"), [(None, False), (0, False), (32, False), (33, True)])
def test_retries_that_their_queue_does_not_take_are_serious_when_they_hold_up_others(
    held_back: int | None, *, is_found: bool
):
    found = list(of_broker.held_back_delays(report(held_back=held_back)))

    assert [each.severity for each in found] == ([Severity.SERIOUS] if is_found else [])


def test_what_came_due_without_a_queue_is_found_with_the_command_that_shows_it():
    facts = report(undelivered=3, undelivered_among="events.undelivered")

    (finding,) = of_broker.undelivered_delays(facts)

    assert finding.severity is Severity.SERIOUS
    assert finding.what.startswith("3 retries and delayed events came due")
    assert finding.fix == "eventbus dead list events.undelivered"


@pytest.mark.parametrize("undelivered", [None, 0])
def test_where_nothing_came_due_without_a_queue_nothing_is_said(undelivered: int | None):
    assert not list(of_broker.undelivered_delays(report(undelivered=undelivered)))


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
