from __future__ import annotations

import inspect
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventbus import errors
from eventbus.errors import (
    BrokerUnreachable,
    DuplicateEvent,
    EventBusError,
    HandlerTimeout,
    InvalidEvent,
    InvalidSubscription,
    PublishTimeout,
    QueueMissing,
    Reject,
    RetryLater,
    SendFailed,
    SendFate,
    TopologyError,
    Unreadable,
    UnregisteredEvent,
    describe,
    shorten,
)

CONFIRMED, NOT_SENT, UNKNOWN = SendFate.CONFIRMED, SendFate.NOT_SENT, SendFate.UNKNOWN

ONE_OF_EACH: list[EventBusError] = [
    EventBusError("told"),
    InvalidSubscription("payment.charge", "it cannot work", "Write it so"),
    DuplicateEvent("order.created", "1.0", "a.OrderCreated", "b.OrderCreated"),
    InvalidEvent("data.total", "must be a finite number", "NaN", event_type="order.created"),
    UnregisteredEvent("event_type", "has no class"),
    SendFailed("the broker said no", [CONFIRMED, UNKNOWN]),
    PublishTimeout("no confirm within 10 s", [UNKNOWN]),
    QueueMissing("no queue shop.handler", [NOT_SENT]),
    BrokerUnreachable("amqp://localhost/", "connection refused", [NOT_SENT]),
    Unreadable("undecodable", "the body is empty"),
    HandlerTimeout("payment.charge", 30.0),
    RetryLater(120),
    Reject("no such card"),
    TopologyError("payment.charge", "arguments differ"),
]


def test_every_error_belongs_to_one_tree():
    classes = [each for _, each in inspect.getmembers(errors, inspect.isclass) if issubclass(each, Exception)]
    assert [each for each in classes if not issubclass(each, EventBusError)] == []


@pytest.mark.parametrize("error", ONE_OF_EACH, ids=lambda error: type(error).__name__)
def test_an_error_keeps_its_evidence_over_a_process_boundary(error: EventBusError):
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 -- our own bytes
    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert vars(copy) == vars(error)


def test_an_invalid_event_names_the_field_the_rule_and_the_value():
    error = InvalidEvent("data.total", "must be a finite number", float("inf"), event_type="order.created")
    assert (error.field, error.problem, error.value) == (
        "data.total",
        "must be a finite number",
        float("inf"),
    )
    assert error.sent is False
    assert str(error) == (
        "data.total of order.created must be a finite number (got inf). "
        "Nothing was sent: correct it and publish again."
    )


def test_an_invalid_event_shows_only_the_beginning_of_a_large_value():
    assert len(str(InvalidEvent("data", "is too long", "x" * 1_000_000))) < 300


def test_an_invalid_event_is_a_value_error_too():
    with pytest.raises(ValueError, match="naive"):
        raise InvalidEvent("timestamp", "is naive")


@pytest.mark.parametrize(
    ("fates", "sent"),
    [
        ([NOT_SENT, NOT_SENT], False),
        ([NOT_SENT, UNKNOWN], None),
        ([CONFIRMED, NOT_SENT], None),
        ([UNKNOWN], None),
    ],
)
def test_a_failed_send_says_what_is_known(fates: list[SendFate], sent: bool | None):
    assert SendFailed("the broker said no", fates).sent is sent


def test_a_failed_send_tells_how_many_are_confirmed():
    assert "1 of 3 are confirmed" in str(SendFailed("cut", [CONFIRMED, UNKNOWN, NOT_SENT]))


def test_a_handler_timeout_and_a_publish_timeout_are_timeout_errors():
    assert isinstance(HandlerTimeout("payment.charge", 30), TimeoutError)
    assert isinstance(PublishTimeout("no confirm", [UNKNOWN]), TimeoutError)
    assert str(HandlerTimeout("payment.charge", 30)).startswith("payment.charge did not finish within 30 s.")


@pytest.mark.parametrize("after", [-1, float("nan"), float("-inf")])
def test_retry_later_takes_seconds_from_zero_up(after: float):
    with pytest.raises(ValueError, match="seconds from 0 up"):
        RetryLater(after)


@pytest.mark.parametrize(
    "text",
    ["\x1b[31mred\x1b[0m", "two\nlines", "tab\there", "\u202eright to left", "null\0", "\u2028", "\x9b31m"],
)
def test_what_is_shown_to_an_operator_has_no_control_characters(text: str):
    assert shorten(text).isprintable()
    assert describe(ValueError(text)).isprintable()


@given(st.text(), st.integers(min_value=1, max_value=200))
def test_what_is_shortened_fits_on_one_line_of_the_length_allowed(text: str, limit: int):
    short = shorten(text, limit)
    assert len(short) <= limit
    assert short.isprintable()


def test_a_short_text_is_left_as_it_is():
    assert shorten("ordinary — text") == "ordinary — text"


def test_a_cut_text_ends_in_an_ellipsis():
    assert shorten("abcdef", 4) == "abc…"


def test_an_error_is_described_by_its_class_and_message():
    assert describe(ValueError("no such card")) == "ValueError: no such card"


def test_an_error_without_a_message_is_described_by_its_class():
    assert describe(KeyboardInterrupt()) == "KeyboardInterrupt"


def test_an_error_of_many_lines_is_described_on_one():
    told = describe(ValueError("1 validation error\namount\n  Field required\x1b[31m"))
    assert told == "ValueError: 1 validation error amount Field required\ufffd[31m"


def test_a_description_is_at_most_500_characters_long():
    assert len(describe(ValueError("x" * 1_000_000))) == 500


def test_an_error_that_cannot_tell_its_own_message_is_described_all_the_same():
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError("cannot speak")

    assert describe(Mute()) == "Mute: (its message cannot be read: RuntimeError)"
