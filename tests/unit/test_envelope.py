from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from eventbus import Envelope, Event
from eventbus.envelope import envelope_from
from eventbus.errors import InvalidEvent, UnregisteredEvent

NOON = datetime(2025, 2, 15, 12, tzinfo=UTC)


class OrderCreated(Event, type="order.created", version="1.2"):
    total: Decimal


def members(**changes: Any) -> dict[str, Any]:
    return {
        "event_id": "evt_1",
        "event_type": "order.created",
        "timestamp": "2025-02-15T12:00:00Z",
        "version": "1.2",
        "data": {"total": "1.00"},
        **changes,
    }


def test_an_event_is_wrapped_with_its_type_and_version():
    envelope = Envelope.wrap(OrderCreated(total=Decimal(1)), event_id="evt_1", timestamp=NOON, source="order")
    assert (envelope.event_type, envelope.version, envelope.source) == ("order.created", "1.2", "order")
    assert envelope.data == OrderCreated(total=Decimal(1))


def test_an_event_without_a_type_cannot_be_wrapped():
    class Nameless(Event):
        pass

    with pytest.raises(UnregisteredEvent, match=r"class Nameless\(Event, type="):
        Envelope.wrap(Nameless(), event_id="evt_1", timestamp=NOON)


def test_an_envelope_does_not_change():
    with pytest.raises(ValidationError, match="frozen"):
        envelope_from(members()).version = "2.0"  # type: ignore[misc]


def test_a_changed_copy_leaves_the_first_as_it_was():
    first = envelope_from(members())
    assert first.with_(key="order-1").key == "order-1"
    assert first.key is None


def test_what_one_event_causes_names_it_and_begins_its_flow():
    cause, effect = envelope_from(members()), envelope_from(members(event_id="evt_2"))
    caused = effect.caused_by(cause)
    assert (caused.causation_id, caused.correlation_id) == ("evt_1", "evt_1")


def test_what_one_event_causes_stays_in_its_flow():
    cause = envelope_from(members(correlation_id="flow-7"))
    caused = envelope_from(members(event_id="evt_2")).caused_by(cause)
    assert (caused.causation_id, caused.correlation_id) == ("evt_1", "flow-7")


@pytest.mark.parametrize(
    ("written", "utc"),
    [
        ("2025-02-15T12:00:00Z", NOON),
        ("2025-02-15t12:00:00z", NOON),
        ("2025-02-15 12:00:00Z", NOON),
        ("2025-02-15T14:00:00+02:00", NOON),
        ("2025-02-15T12:00:00-00:00", NOON),
        ("2025-02-15T12:00:00.5Z", NOON + timedelta(milliseconds=500)),
        ("2025-02-15T12:00:00.123456789Z", NOON + timedelta(microseconds=123456)),
        (datetime(2025, 2, 15, 7, tzinfo=timezone(timedelta(hours=-5))), NOON),
    ],
)
def test_a_timestamp_is_normalised_to_utc(written: object, utc: datetime):
    read = envelope_from(members(timestamp=written)).timestamp
    assert (read, read.utcoffset()) == (utc, timedelta(0))


@pytest.mark.parametrize(
    "bad",
    [
        "2025-02-15T12:00:00",
        "2025-02-15",
        "12:00",
        "2025-02-30T12:00:00Z",
        "2025-02-15T12:00:60Z",
        "2025-02-15T24:00:00Z",
        "2025-02-15T12:00:00+99:99",
        "2025-W07-6T12:00:00Z",
        "20250215T120000Z",
        "٢٠٢٥-02-15T12:00:00Z",
        "2025-02-15T12:00:00Z\n",
        "0001-01-01T00:00:00+01:00",
        "9999-12-31T23:59:59-01:00",
        1739620800,
        1.5,
        None,
        datetime(2025, 2, 15),  # noqa: DTZ001 -- naive on purpose
    ],
)
def test_a_timestamp_that_is_no_moment_is_refused_by_name(bad: object):
    with pytest.raises(InvalidEvent) as caught:
        envelope_from(members(timestamp=bad))
    assert caught.value.field == "timestamp"


BAD_IDS = ["", " ", "a b", "ä", "x" * 256, "line\nbreak", "null\0", "\ud800", 7]
BAD_MEMBERS = [
    *(("event_id", bad) for bad in [*BAD_IDS, None]),
    *(("correlation_id", bad) for bad in BAD_IDS),
    *(("causation_id", bad) for bad in BAD_IDS),
    *(
        ("event_type", bad)
        for bad in ["", "Order", "order.", ".order", "a..b", "order.*", "#", "a b", "a" * 191, "ä", None]
    ),
    *(("event_type", bad) for bad in ["order.created\n", "\ud800", 7, "1order", "_order"]),
    *(("version", bad) for bad in ["", "1", "1.0.0", "01.0", "a.b", 1.0, None, "1.0\n", "1000000.0", "-1.0"]),
    *(("source", bad) for bad in ["", "x" * 256, "ä" * 128, "tab\t", "\x7f", "\ud800", 7]),
    *(("key", bad) for bad in ["", "x" * 256, "ä" * 128, "line\nbreak", "\ud800", 7]),
]


@pytest.mark.parametrize(("member", "bad"), BAD_MEMBERS)
def test_a_member_that_breaks_a_rule_is_refused_by_name(member: str, bad: object):
    with pytest.raises(InvalidEvent) as caught:
        envelope_from(members(**{member: bad}))
    error = caught.value
    assert error.field == member
    assert error.problem.startswith(("must ", "is "))
    assert error.value == bad


@pytest.mark.parametrize("member", ["event_id", "event_type", "timestamp", "version", "data"])
def test_a_required_member_that_is_missing_is_named(member: str):
    incomplete = members()
    del incomplete[member]
    with pytest.raises(InvalidEvent, match=f"^{member}.* is missing") as caught:
        envelope_from(incomplete)
    assert caught.value.value is None


@pytest.mark.parametrize(
    ("member", "longest"),
    [
        ("event_id", "!" * 255),
        ("correlation_id", "~" * 255),
        ("event_type", "a" * 190),
        ("source", "ä" * 127 + "b"),
        ("key", "Straße 7, 日本"),
        ("version", "999999.999999"),
        ("version", "0.0"),
    ],
)
def test_a_member_may_use_its_limits_to_the_full(member: str, longest: str):
    assert getattr(envelope_from(members(**{member: longest})), member) == longest


def test_unknown_members_are_ignored():
    assert envelope_from(members(added_later=1)) == envelope_from(members())
