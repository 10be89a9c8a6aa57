from __future__ import annotations

from decimal import Decimal

import pytest
from pydantic import Field

from eventbus import Bus, Event, upcast
from eventbus.cli.draft import Draft
from eventbus.errors import InvalidEvent, UnregisteredEvent
from eventbus.settings import Settings
from eventbus.strict_json import BadJson


class PaidV1(Event, type="order.paid", version="1.0"):
    order_id: int


class PaidV11(Event, type="order.paid", version="1.1"):
    order_id: int
    note: str = ""


class Paid(Event, type="order.paid", version="2.0"):
    order_id: int
    amount: Decimal = Field(alias="sum")


@upcast
def one_to_two(old: PaidV11) -> Paid:
    return Paid(order_id=old.order_id, sum=Decimal(0))


@pytest.fixture
def bus() -> Bus:
    """Not open: a draft is written before anybody connects."""
    bus = Bus("sqlite://:memory:", source="test", settings=Settings())
    for event in (PaidV1, Paid):
        bus.registry.add(event)
    return bus


def draft(event_type: str = "order.paid", version: str | None = None) -> Draft:
    return Draft(event_type, version, None)


@pytest.mark.parametrize(
    ("data", "version"),
    [
        (b'{"order_id": 1, "sum": 2}', "2.0"),
        (b'{"order_id": 1, "sum": 2, "more": 3}', "2.0"),
        (b'{"order_id": 1}', "1.1"),
        (b'{"order_id": 1, "note": "x"}', "1.1"),
    ],
)
def test_the_data_decides_which_version_it_is(bus: Bus, data: bytes, version: str):
    assert draft().envelope(bus, data).version == version


def test_no_version_is_taken_that_would_drop_a_member(bus: Bus):
    with pytest.raises(InvalidEvent) as caught:
        draft().envelope(bus, b'{"order_id": 1, "sums": 2}')

    assert caught.value.field == "data.sum"


def test_a_version_that_is_told_is_kept_to(bus: Bus):
    assert draft(version="1.0").envelope(bus, b'{"order_id": 1}').version == "1.0"
    with pytest.raises(InvalidEvent, match=r"data\.sum"):
        draft(version="2.0").envelope(bus, b'{"order_id": 1}')


def test_what_no_class_describes_stays_as_it_is(bus: Bus):
    envelope = draft("order.lost").envelope(bus, b'{"order_id": "?", "x": [1.5]}')

    assert envelope.data == {"order_id": "?", "x": [1.5]}
    assert envelope.version == "1.0"


def test_doubts_are_told(bus: Bus):
    lost, old = draft("order.piad"), draft()

    assert "did you mean order.paid?" in str(lost.doubt(bus, lost.envelope(bus, b"{}")))
    assert "the newest version is 2.0" in str(old.doubt(bus, old.envelope(bus, b'{"order_id": 1}')))
    assert old.doubt(bus, old.envelope(bus, b'{"order_id": 1, "sum": 2}')) is None
    assert draft(version="1.0").doubt(bus, draft(version="1.0").envelope(bus, b'{"order_id": 1}')) is None


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"1", b"null", b'{"a":1,"a":2}', b'{"a":NaN}', b"\xff{}", b"{}{}"]
)
def test_data_that_no_subscriber_could_read_is_refused(bus: Bus, data: bytes):
    with pytest.raises(BadJson):
        draft().envelope(bus, data)


def test_what_is_wrong_with_every_event_is_found_before_any(bus: Bus):
    draft().check(bus)
    with pytest.raises(UnregisteredEvent):
        draft(version="7.0").check(bus)
    with pytest.raises(InvalidEvent, match=r"must be MAJOR\.MINOR"):
        draft("a.b", version="seven").check(bus)
    with pytest.raises(InvalidEvent, match="event_type"):
        draft("A b").check(bus)
