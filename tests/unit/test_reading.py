"""In one pass or step by step: what a handler gets is the same."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from functools import partial
from typing import Annotated, Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AfterValidator, BaseModel, Field, model_validator

from eventbus import Envelope, Event
from eventbus.codec import Codec
from eventbus.errors import Unreadable
from eventbus.plain_models import names_of
from eventbus.reading import Reading
from eventbus.registry import Registry
from eventbus.transport import Message


class Colour(StrEnum):
    RED = "red"


class Line(BaseModel):
    sku: str
    count: int = 1


class Placed(Event, type="order.placed", version="1.2"):
    order_id: int
    total: Decimal = Decimal(0)
    note: str | None = None
    ratio: float = 0.5


class Packed(Event, type="order.packed"):
    id: UUID
    lines: list[Line] = Field(default_factory=lambda: [Line(sku="none")])
    prices: dict[str, list[int]] = Field(default_factory=lambda: {"none": [0]})
    colour: Colour = Colour.RED
    moment: datetime | None = None
    day: date | None = None
    lasted: timedelta | None = None
    to: str = Field("home", alias="goes_to")


def in_parts(text: str) -> Any:
    return dict.fromkeys(text.split())


class Noted(Event, type="note.taken"):
    note: Annotated[str, AfterValidator(in_parts)]
    by: str = ""


class Sorted(Event, type="note.sorted"):
    note: Annotated[str, AfterValidator(in_parts)]
    lines: list[Line] = Field(default_factory=list)


class Measured(Event, type="room.measured"):
    values: list[Reading_] = Field(default_factory=list)

    @model_validator(mode="before")
    @classmethod
    def with_more(cls, data: dict[str, Any]) -> dict[str, Any]:
        """What makes a name up."""
        return {"values": [], **data}


class Reading_(BaseModel):  # noqa: N801
    celsius: float


class Infinite(Event, type="room.heated"):
    line: Reading_


class Loop(Event, type="tree.grown"):
    below: list[Loop] = Field(default_factory=list)


class Loose(Event, type="thing.happened"):
    anything: Any = None


class Either(Event, type="thing.chosen"):
    one: datetime | str


class Open(Event, type="thing.opened", extra="allow"):
    one: int = 1


class Strict(Event, type="thing.strict", strict=True):
    moment: datetime


PLAIN: dict[type[Event], dict[str, Any]] = {
    Placed: {"order_id": 1, "total": "99.99", "note": "left", "ratio": 1.5},
    Packed: {
        "id": "12345678-1234-5678-1234-567812345678",
        "lines": [{"sku": "a", "count": 2}, {"sku": "b"}],
        "prices": {"a": [1, 2], "b": []},
        "colour": "red",
        "moment": "2025-02-15T12:00:00Z",
        "goes_to": "the neighbours",
    },
    Noted: {"note": "a b c", "by": "ada"},
}


def envelope_of(event: type[Event], data: object) -> dict[str, object]:
    return {
        "event_id": "evt_1",
        "event_type": event.__event_type__,
        "timestamp": "2025-02-15T12:00:00.25Z",
        "version": event.__event_version__,
        "data": data,
        "source": "shop",
    }


class CountingCodec(Codec):
    """Counts how often the whole way was gone."""

    decoded = 0

    def decode(self, message: Message) -> Envelope[dict[str, Any]]:
        self.decoded += 1
        return super().decode(message)


def reading_of(event: type[Event]) -> tuple[Reading, CountingCodec]:
    codec = CountingCodec()
    reading = Reading(codec, partial(wanted, event), {event.__event_type__: event}, lambda _: None)
    return reading, codec


def wanted(event: type[Event], envelope: Envelope[dict[str, Any]]) -> Envelope[Any]:
    return Registry([event]).upcast(envelope, event)


def step_by_step(event: type[Event], body: bytes) -> object:
    return told(lambda each: wanted(event, Codec().decode(each)), message(event, body))


def message(event: type[Event], body: bytes) -> Message:
    return Message(body, event.__event_type__)


def told(read: Any, body: Message) -> object:
    """What came of it, to be compared: the classes of values and which of them were given included."""
    try:
        envelope = read(body)
    except Unreadable as error:
        return error.reason, str(error)
    data = envelope.data
    return dict(envelope), [type(value) for _, value in data], sorted(data.model_fields_set)


@pytest.mark.parametrize("event", PLAIN)
def test_a_plain_model_is_read_in_one_pass(event: type[Event]):
    reading, codec = reading_of(event)
    envelope = reading.read(message(event, json.dumps(envelope_of(event, PLAIN[event])).encode()))
    assert codec.decoded == 0
    assert isinstance(envelope.data, event)
    assert envelope.timestamp == datetime(2025, 2, 15, 12, 0, 0, 250_000, UTC)
    assert envelope.timestamp.tzinfo is UTC


def test_a_number_is_the_same_decimal_whichever_way_it_was_read():
    reading, codec = reading_of(Placed)
    whole = json.dumps(envelope_of(Placed, {"order_id": 1, "total": 100.0})).encode()
    twice = whole.replace(b'"source"', b'"more": 1, "source"')
    one_pass, two = (reading.read(message(Placed, body)) for body in (whole, twice))
    assert str(one_pass.data.total) == str(two.data.total)
    assert codec.decoded == 1


@pytest.mark.parametrize("event", [Measured, Infinite, Loop, Loose, Either, Open, Strict, Sorted])
def test_what_may_read_json_otherwise_goes_the_whole_way(event: type[Event]):
    assert names_of(event) is None


def test_a_new_member_of_a_later_minor_version_costs_a_second_look_and_not_more():
    reading, codec = reading_of(Placed)
    newer = envelope_of(Placed, {**PLAIN[Placed], "currency": "EUR"}) | {"version": "1.3"}
    body = message(Placed, json.dumps(newer).encode())
    for _ in range(100):
        assert reading.read(body).version == "1.3"
    assert codec.decoded == 100
    known = message(Placed, json.dumps(envelope_of(Placed, PLAIN[Placed])).encode())
    for _ in range(200):
        reading.read(known)
    assert codec.decoded < 250, "it is tried again some time"


@pytest.mark.parametrize(
    "body",
    [
        b'{"order_id": 1, "order_id": 2}',
        b'{"order_id": 1, "order_id"\n : 2}',
        b'{"order_id": 1, "note": "\\":", "note": "x"}',
        b'{"order_id": 1, "ratio": 1e999}',
        b'{"order_id": 1, "ratio": NaN}',
        b'{"order_id": 1, "more": [[[[]]]]}',
        b'{"order_id": "one"}',
        b'{"order_id": 1, "note": "\\":\\":"}',
        b'{"order_id": %s}' % (b"1" * 1200),
        b"[]",
        b"{",
    ],
)
def test_odd_data_is_read_or_refused_as_step_by_step(body: bytes):
    whole = b'{"event_id":"e","event_type":"order.placed","timestamp":"2025-02-15T12:00:00Z",'
    whole += b'"version":"1.2","data":%b}' % body
    reading, _ = reading_of(Placed)
    assert told(reading.read, message(Placed, whole)) == step_by_step(Placed, whole)


@pytest.mark.parametrize("hidden", range(4))
def test_names_are_not_mistaken_for_colons_of_the_time(hidden: int):
    """As many names stand twice as colons of the time are escaped, so that there are no more than usual."""
    time = "2025-02-15T12:00:00+01:00".replace(":", "\\u003a", hidden)
    twice = '"note":"b",' * (hidden - 1)
    whole = f'{{"event_id":"e","event_type":"order.placed","timestamp":"{time}","version":"1.2",'
    whole += f'"data":{{"order_id":1,{twice}"note":"a"}}}}'
    reading, _ = reading_of(Placed)
    assert told(reading.read, message(Placed, whole.encode())) == step_by_step(Placed, whole.encode())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(max_size=4), below, max_size=3),
    max_leaves=8,
)
ODD = JSON | st.sampled_from(
    ["1", "1.0", "red", "2025-02-15", "2025-02-15T12:00:00+01:00", "PT1M", 1e300, 10**30, 1739620800, " x "]
)
MEMBERS = (
    "event_id",
    "event_type",
    "timestamp",
    "version",
    "source",
    "correlation_id",
    "causation_id",
    "key",
)


@st.composite
def bodies(draw: st.DrawFn) -> tuple[type[Event], bytes]:
    """Of an envelope in which a few things are odd."""
    event = draw(st.sampled_from(list(PLAIN)))
    data = dict(PLAIN[event])
    names = st.sampled_from([*event.model_fields, *data, "new"])
    data |= draw(st.dictionaries(names, ODD, max_size=2))
    for name in draw(st.lists(names, max_size=1)):
        data.pop(name, None)
    whole = envelope_of(event, data) | draw(st.dictionaries(st.sampled_from(MEMBERS), ODD, max_size=1))
    text = json.dumps(whole, ensure_ascii=draw(st.booleans()), indent=draw(st.sampled_from([None, 1])))
    if draw(st.booleans()):
        name = draw(st.sampled_from([*whole, *data]))
        text = text.replace(f'"{name}"', f'"{name}" : {json.dumps(draw(ODD))}, "{name}"', 1)
    if draw(st.booleans()):
        text = text.replace(":00:00", "\\u003a00\\u003a00")
    return event, text.encode(errors="replace")


@given(bodies())
def test_whatever_a_body_says_is_read_as_step_by_step(of: tuple[type[Event], bytes]):
    event, body = of
    reading, _ = reading_of(event)
    assert told(reading.read, message(event, body)) == step_by_step(event, body)
