from __future__ import annotations

from datetime import UTC, datetime

import pytest

from eventbus import headers

NOON = datetime(2025, 2, 15, 12, tzinfo=UTC)
LATER = datetime(2025, 2, 15, 13, tzinfo=UTC)


def test_a_message_without_the_header_is_the_first_attempt():
    assert headers.attempt({}) == 1


def test_the_attempt_is_read_from_our_own_header():
    assert headers.attempt({"eventbus-attempt": 4, "x-death": 9}) == 4


@pytest.mark.parametrize("odd", [0, -3, "4", 4.0, True, None, b"4", [4]])
def test_an_attempt_that_cannot_be_read_counts_as_the_first(odd: object):
    assert headers.attempt({"eventbus-attempt": odd}) == 1


@pytest.mark.parametrize("name", ["x-death", "X-Delay", "x-", "CC", "cc", "BCC", "Bcc"])
def test_the_names_of_the_broker_are_reserved(name: str):
    assert headers.is_reserved(name)


@pytest.mark.parametrize("name", ["traceparent", "tenant", "xylophone", "", "x", "CCC", "cc-to"])
def test_other_names_are_not_reserved(name: str):
    assert not headers.is_reserved(name)


def test_what_is_published_again_carries_nothing_of_the_broker():
    kept = headers.publishable({"x-death": [], "X-First": 1, "CC": ["a"], "bcc": ["b"], "tenant": "t"})
    assert kept == {"tenant": "t"}


def test_a_retry_is_the_next_attempt_and_remembers_where_it_came_from():
    kept = headers.for_retry({"tenant": "t", "x-death": []}, "order.created", "ValueError: no", NOON)
    assert kept == {
        "tenant": "t",
        "eventbus-attempt": 2,
        "eventbus-first-failed-at": NOON.isoformat(),
        "eventbus-failed-at": NOON.isoformat(),
        "eventbus-error": "ValueError: no",
        "eventbus-routing-key": "order.created",
    }


def test_the_first_failure_and_the_first_routing_key_stay_over_all_retries():
    once = headers.for_retry({}, "order.created", "first", NOON)
    twice = headers.for_retry(once, "payment.charge", "second", LATER)
    assert twice["eventbus-attempt"] == 3
    assert twice["eventbus-first-failed-at"] == NOON.isoformat()
    assert twice["eventbus-failed-at"] == LATER.isoformat()
    assert twice["eventbus-routing-key"] == "order.created"
    assert twice["eventbus-error"] == "second"


def test_a_dead_letter_keeps_its_attempt_and_says_why():
    last = headers.for_dead_letter(
        {"eventbus-attempt": 5}, "order.created", "exhausted", "ValueError: no", NOON
    )
    assert last["eventbus-attempt"] == 5
    assert last["eventbus-reason"] == "exhausted"
    assert last["eventbus-error"] == "ValueError: no"


def test_the_highest_attempt_that_amqp_can_carry_is_not_raised_further():
    highest = 2**63 - 1
    assert (
        headers.for_retry({"eventbus-attempt": highest}, "order.created", "no", NOON)["eventbus-attempt"]
        == highest
    )


@pytest.mark.parametrize("value", ["rep_1\nrep_2", "\ud800", "\0", "r" * 256, 7, None])
def test_what_is_no_replay_id_of_ours_is_none(value: object):
    assert headers.replay_id({headers.REPLAY_ID: value}) is None
    assert headers.rerun_of({headers.REPLAY_ID: value, headers.REPROCESS: True}) == ""


def test_what_is_replayed_is_handled_again_only_where_the_replay_says_so():
    replayed = {headers.REPLAY_ID: "rpl_1"}
    assert headers.rerun_of(replayed) == ""
    assert headers.rerun_of(replayed | {headers.REPROCESS: True}) == "rpl_1"
    assert headers.rerun_of({headers.REPROCESS: True}) == ""
