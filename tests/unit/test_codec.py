from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import from_json

from eventbus import Envelope, Event
from eventbus.codec import Codec, Limits
from eventbus.envelope import envelope_from
from eventbus.errors import InvalidEvent, Unreadable
from eventbus.outcome import Reason
from eventbus.transport import Message

NOON = datetime(2025, 2, 15, 12, tzinfo=UTC)


class Colour(StrEnum):
    RED = "red"


class OrderCreated(Event, type="order.created"):
    order_id: int
    total: Decimal
    note: str | None = None


class Everything(Event, type="everything.happened", version="1.2"):
    decimal: Decimal
    moment: datetime
    day: date
    lasted: timedelta
    id: UUID
    colour: Colour
    parts: tuple[OrderCreated, ...]
    mapping: dict[str, list[int]]
    real: float
    whole: int


def an_envelope(data: object = None, **members: Any) -> Envelope[Any]:
    return envelope_from(
        {
            "event_id": "evt_abc123",
            "event_type": "order.created",
            "timestamp": NOON,
            "version": "1.0",
            "data": {"order_id": 1} if data is None else data,
            **members,
        }
    )


def test_the_body_is_the_envelope_of_the_contract():
    event = OrderCreated(order_id=12345, total=Decimal("99.90"))
    envelope = Envelope.wrap(event, event_id="evt_abc123", timestamp=NOON)
    assert from_json(Codec().encode(envelope).body) == {
        "event_id": "evt_abc123",
        "event_type": "order.created",
        "timestamp": "2025-02-15T12:00:00Z",
        "version": "1.0",
        "data": {"order_id": 12345, "total": "99.90", "note": None},
    }


def test_members_that_are_not_set_do_not_travel():
    body = from_json(Codec().encode(an_envelope()).body)
    assert set(body) == {"event_id", "event_type", "timestamp", "version", "data"}


def test_what_the_transport_needs_stands_beside_the_body():
    envelope = an_envelope(source="order", correlation_id="flow-7", causation_id="evt_0", key="order-1")
    message = Codec().encode(envelope, headers={"traceparent": "00-a-b-01"})
    assert (message.routing_key, message.event_type, message.event_id) == (
        "order.created",
        "order.created",
        "evt_abc123",
    )
    assert (message.content_type, message.timestamp) == ("application/json", NOON)
    assert (message.source, message.correlation_id) == ("order", "flow-7")
    assert message.headers == {"traceparent": "00-a-b-01"}
    assert (message.queue, message.delay) == (None, 0)


def test_money_travels_as_text_and_comes_back_to_the_cent():
    exact = Decimal("12345678901234567890.10")
    event = OrderCreated(order_id=1, total=exact)
    message = Codec().encode(Envelope.wrap(event, event_id="evt_1", timestamp=NOON))
    assert OrderCreated.model_validate(Codec().decode(message).data).total == exact


def test_every_type_of_field_comes_back_as_it_was():
    event = Everything(
        decimal=Decimal("0.10"),
        moment=NOON,
        day=NOON.date(),
        lasted=timedelta(days=1, microseconds=1),
        id=UUID(int=7),
        colour=Colour.RED,
        parts=(OrderCreated(order_id=1, total=Decimal(1), note="Grüße \0 \u2028 🙂"),),
        mapping={"": [], "a.b": [2**62]},
        real=0.1,
        whole=10**30,
    )
    message = Codec().encode(Envelope.wrap(event, event_id="evt_1", timestamp=NOON))
    assert Everything.model_validate(Codec().decode(message).data) == event


IDS = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=255)
TEXTS = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=60)
WORDS = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)
ENVELOPES = st.builds(
    lambda **members: envelope_from(members),
    event_id=IDS,
    event_type=st.lists(WORDS, min_size=1, max_size=5).map(".".join),
    # A day within the years that there are: in another zone it may be the year before or after.
    timestamp=st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.timezones()),  # noqa: DTZ001
    version=st.tuples(st.integers(0, 999999), st.integers(0, 999999)).map(lambda v: f"{v[0]}.{v[1]}"),
    data=st.dictionaries(st.text(), VALUES, max_size=5),
    source=st.none() | TEXTS,
    correlation_id=st.none() | IDS,
    causation_id=st.none() | IDS,
    key=st.none() | TEXTS,
)


@given(ENVELOPES)
def test_every_envelope_comes_back_with_every_member(envelope: Envelope[Any]):
    assert Codec().decode(Codec().encode(envelope)) == envelope


@given(
    st.binary(max_size=300),
    st.text(max_size=30),
    st.none() | st.text(max_size=30) | st.just("application/json"),
)
def test_no_bytes_make_reading_fail_in_another_way(body: bytes, routing_key: str, content_type: str | None):
    with pytest.raises(Unreadable) as caught:
        Codec().decode(Message(body, routing_key, content_type=content_type))
    assert str(caught.value).isprintable()


@given(ENVELOPES, st.data())
def test_no_damage_to_a_message_makes_reading_fail_in_another_way(
    envelope: Envelope[Any], data: st.DataObject
):
    message = Codec().encode(envelope)
    at = data.draw(st.integers(0, len(message.body)))
    damaged = message.body[:at] + data.draw(st.binary(max_size=3)) + message.body[at + 1 :]
    try:
        Codec().decode(Message(damaged, message.routing_key))
    except Unreadable as error:
        assert Reason(error.reason) in {Reason.UNDECODABLE, Reason.INVALID_ENVELOPE, Reason.FORGED}  # noqa: PT017


def test_a_message_with_only_a_body_and_a_routing_key_is_a_full_citizen():
    encoded = Codec().encode(an_envelope())
    assert Codec().decode(Message(encoded.body, "order.created", content_type=None)) == an_envelope()


@pytest.mark.parametrize(
    "content_type", ["application/json", "Application/JSON", "application/json; charset=utf-8", "", None]
)
def test_a_content_type_of_ours_may_be_written_in_several_ways(content_type: str | None):
    encoded = Codec().encode(an_envelope())
    assert Codec().decode(Message(encoded.body, "order.created", content_type=content_type)) == an_envelope()


def test_unknown_members_are_ignored():
    body = Codec().encode(an_envelope()).body.replace(b'{"event_id"', b'{"added_later":{},"event_id"')
    assert Codec().decode(Message(body, "order.created")) == an_envelope()


def test_a_codec_can_be_given_other_limits():
    small = Codec(Limits(body=300))
    with pytest.raises(ValueError, match=r"makes a message of 4.. bytes, 300 are allowed"):
        small.encode(an_envelope({"text": "x" * 300}))
    large = Codec().encode(an_envelope({"text": "x" * 300}))
    with pytest.raises(Unreadable, match=r"a body of 4.. bytes, 300 are allowed"):
        small.decode(large)


def test_a_body_may_use_its_limit_to_the_full():
    spare = Limits().body - len(Codec().encode(an_envelope({"text": ""})).body)
    message = Codec().encode(an_envelope({"text": "x" * spare}))
    assert len(message.body) == Limits().body
    assert Codec().decode(message).data == {"text": "x" * spare}


def test_a_number_that_no_reader_takes_is_told_beside_a_text_that_looks_like_none():
    with pytest.raises(InvalidEvent, match="could be read by no subscriber"):
        Codec().encode(an_envelope({"huge": 10**5000, "text": "NaN"}))
