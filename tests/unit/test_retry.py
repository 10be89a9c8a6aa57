from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventbus import Reject, RetryLater, RetryPolicy
from eventbus.errors import ConfigurationError, HandlerTimeout, Unreadable
from eventbus.outcome import DeadLetter, Outcome, Reason, RetryAfter

LONGEST_DELAY = 2**28 - 1


class CardDeclined(Exception):
    pass


class TooManyRequests(Exception):
    status = 429


def no_jitter() -> float:
    return 0.0


def delay(outcome: Outcome) -> float:
    assert isinstance(outcome, RetryAfter), outcome
    return outcome.delay


def reason(outcome: Outcome) -> Reason:
    assert isinstance(outcome, DeadLetter), outcome
    return outcome.reason


def test_the_waits_double_from_two_seconds_up_to_a_cap():
    policy = RetryPolicy(max_attempts=20)
    waits = [delay(policy.decide(ValueError(), attempt, draw=no_jitter)) for attempt in range(1, 12)]
    assert waits == [2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600]


def test_first_wait_backoff_and_cap_are_the_policys():
    policy = RetryPolicy(first=1, backoff=3, maximum=20, jitter=False)
    assert [policy.wait_after(attempt) for attempt in range(1, 6)] == [1, 3, 9, 20, 20]


@given(st.integers(1, 4), st.floats(0, 1, exclude_max=True))
def test_jitter_only_lengthens_and_by_half_at_most(attempt: int, drawn: float):
    waited = delay(RetryPolicy().decide(ValueError(), attempt, draw=lambda: drawn))
    assert 2**attempt <= waited <= 1.5 * 2**attempt


def test_without_jitter_nothing_is_drawn():
    def draw() -> float:
        raise AssertionError("drawn")

    assert delay(RetryPolicy(jitter=False).decide(ValueError(), 1, draw=draw)) == 2


@pytest.mark.parametrize("attempt", [1025, 10**6, 2**63 - 1])
def test_a_huge_attempt_waits_the_cap(attempt: int):
    assert RetryPolicy(max_attempts=2**63).wait_after(attempt) == 600
    assert RetryPolicy(max_attempts=2**63, backoff=2, first=2, maximum=600).wait_after(attempt) == 600


def test_without_a_first_wait_there_is_none_ever():
    policy = RetryPolicy(first=0, max_attempts=10**6)
    assert {policy.wait_after(attempt) for attempt in (1, 2, 1024, 1025, 10**5)} == {0}


def test_a_constant_wait_stays_constant():
    assert RetryPolicy(backoff=1, first=5).wait_after(10**6) == 5


def test_the_last_attempt_that_fails_is_a_dead_letter():
    policy = RetryPolicy(max_attempts=3)
    assert isinstance(policy.decide(ValueError(), 2), RetryAfter)
    assert reason(policy.decide(ValueError(), 3)) == Reason.EXHAUSTED
    assert reason(policy.decide(ValueError(), 4)) == Reason.EXHAUSTED


def test_one_attempt_means_no_retry():
    assert reason(RetryPolicy(max_attempts=1).decide(ValueError(), 1)) == Reason.EXHAUSTED


def test_an_error_to_give_up_on_is_a_dead_letter_at_once():
    policy = RetryPolicy(give_up_on=(CardDeclined,))
    assert reason(policy.decide(CardDeclined(), 1)) == Reason.REJECTED
    assert isinstance(policy.decide(ValueError(), 1), RetryAfter)


def test_only_the_errors_that_deserve_it_are_retried():
    policy = RetryPolicy(retry_on=(ConnectionError, TimeoutError))
    assert isinstance(policy.decide(ConnectionResetError(), 1), RetryAfter)
    assert reason(policy.decide(ValueError(), 1)) == Reason.REJECTED


def test_a_handler_that_took_too_long_is_retried_as_a_timeout():
    policy = RetryPolicy(retry_on=(TimeoutError,))
    assert isinstance(policy.decide(HandlerTimeout("payment.charge", 30), 1), RetryAfter)


@pytest.mark.parametrize("given", [[CardDeclined], {CardDeclined}, CardDeclined])
def test_classes_of_errors_may_come_in_any_collection_or_alone(given: Any):
    policy = RetryPolicy(give_up_on=given, pause_on=given, retry_on=[Exception])  # type: ignore[arg-type]
    assert reason(policy.decide(CardDeclined(), 1)) == Reason.REJECTED
    assert isinstance(policy.decide(ValueError(), 1), RetryAfter)


@pytest.mark.parametrize("wrong", [["ValueError"], (TimeoutError(),), None, (BaseException,), "ValueError"])
@pytest.mark.parametrize("name", ["retry_on", "give_up_on", "pause_on"])
def test_what_is_no_class_of_errors_is_refused_at_once(name: str, wrong: Any):
    with pytest.raises(ConfigurationError, match=name):
        RetryPolicy(**{name: wrong})


def test_giving_up_weighs_more_than_retrying():
    policy = RetryPolicy(retry_on=(OSError,), give_up_on=(ConnectionError,))
    assert reason(policy.decide(ConnectionResetError(), 1)) == Reason.REJECTED


def test_the_delay_can_depend_on_the_error():
    policy = RetryPolicy(
        delay_for=lambda error: 120 if isinstance(error, TooManyRequests) else None, jitter=False
    )
    assert delay(policy.decide(TooManyRequests(), 1)) == 120
    assert delay(policy.decide(ValueError(), 2)) == 4


def test_a_delay_by_the_error_is_neither_lengthened_nor_capped_by_the_policy():
    policy = RetryPolicy(delay_for=lambda _: 3600, maximum=600)
    assert delay(policy.decide(ValueError(), 1, draw=lambda: 0.9)) == 3600


@pytest.mark.parametrize("odd", [math.nan, "soon", [], object()])
def test_a_delay_by_the_error_that_is_no_time_leaves_the_rule_and_is_told(odd: Any):
    outcome = RetryPolicy(delay_for=lambda _: odd, jitter=False).decide(ValueError("no"), 2)
    assert isinstance(outcome, RetryAfter)
    assert outcome.delay == 4
    assert outcome.error.startswith("ValueError: no; and delay_for failed: ")


@pytest.mark.parametrize("past", [-1.0, -math.inf])
def test_a_delay_by_the_error_that_lies_in_the_past_means_at_once(past: float):
    assert delay(RetryPolicy(delay_for=lambda _: past).decide(ValueError(), 2)) == 0


def test_a_failing_delay_by_the_error_leaves_the_rule():
    policy = RetryPolicy(delay_for=lambda error: error.response.headers["Retry-After"], jitter=False)  # type: ignore[attr-defined]
    assert delay(policy.decide(ValueError(), 2)) == 4


@pytest.mark.parametrize("long", [math.inf, 2.0**40, float(LONGEST_DELAY + 1)])
def test_no_delay_is_longer_than_a_broker_can_keep(long: float):
    assert delay(RetryPolicy(delay_for=lambda _: long).decide(ValueError(), 1)) == LONGEST_DELAY
    assert delay(RetryPolicy().decide(RetryLater(long), 1)) == LONGEST_DELAY
    policy = RetryPolicy(first=long, maximum=long)
    assert delay(policy.decide(ValueError(), 1)) == LONGEST_DELAY


def test_a_handler_can_ask_to_be_tried_later():
    assert delay(RetryPolicy().decide(RetryLater(after=120), 1)) == 120


def test_asking_to_be_tried_later_counts_as_an_attempt():
    assert reason(RetryPolicy(max_attempts=3).decide(RetryLater(after=1), 3)) == Reason.EXHAUSTED


def test_asking_to_be_tried_later_needs_no_entry_in_the_policy():
    policy = RetryPolicy(retry_on=(ValueError,), give_up_on=(Exception,))
    assert delay(policy.decide(RetryLater(after=7), 1)) == 7


def test_a_handler_can_reject_an_event_at_once():
    outcome = RetryPolicy().decide(Reject("no such card"), 1)
    assert outcome == DeadLetter(Reason.REJECTED, "Reject: no such card")


@pytest.mark.parametrize("told", list(Reason))
def test_what_cannot_be_read_is_never_retried(told: Reason):
    assert reason(RetryPolicy().decide(Unreadable(told, "no JSON"), 1)) == told


def test_an_outcome_carries_the_error_on_one_inert_line():
    outcome = RetryPolicy().decide(ValueError("two\nlines \x1b[31m"), 1)
    assert isinstance(outcome, RetryAfter)
    assert outcome.error.isprintable()


@pytest.mark.parametrize("member", ["max_attempts", "backoff", "first", "maximum"])
@pytest.mark.parametrize("bad", [-1, math.nan])
def test_a_policy_that_cannot_work_is_refused_by_name(member: str, bad: float):
    with pytest.raises(ConfigurationError, match=member):
        RetryPolicy(**{member: bad})  # type: ignore[arg-type]


@given(
    st.builds(
        RetryPolicy,
        max_attempts=st.integers(1, 2**63),
        backoff=st.floats(1),
        first=st.floats(0),
        maximum=st.floats(0),
    ),
    st.integers(1, 2**63),
    st.floats(0, 1, exclude_max=True),
)
def test_every_retry_waits_a_time_that_a_broker_can_keep(policy: RetryPolicy, attempt: int, drawn: float):
    outcome = policy.decide(ValueError(), attempt, draw=lambda: drawn)
    match outcome:
        case RetryAfter(delay=seconds):
            assert 0 <= seconds <= LONGEST_DELAY
        case _:
            assert attempt >= policy.max_attempts
