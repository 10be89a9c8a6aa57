"""The shop's events as other programs write and read them."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

import schemas
from eventbus import Event
from eventbus.codec import Codec
from eventbus.registry import Registry
from eventbus.transport import Message
from schemas import Line, OrderCreated, OrderCreatedV1
from schemas.order import MYSTERY_BOX

FOREIGN = (
    b'{"event_id": "evt_abc123", "event_type": "order.created", "timestamp": "2025-02-15T10:00:00Z",'
    b' "version": "1.0", "data": {"order_id": 12345, "user_id": 789, "total": 99.99}}'
)

EVENTS = [each for each in vars(schemas).values() if isinstance(each, type) and issubclass(each, Event)]


def read(body: bytes) -> Any:
    envelope = Codec().decode(Message(body=body, routing_key="order.created"))
    return Registry([OrderCreated]).upcast(envelope).data


def test_an_order_of_version_1_reads_as_one_mystery_box_in_euro():
    assert read(FOREIGN) == OrderCreated(
        order_id=12345,
        user_id=789,
        total=Decimal("99.99"),
        currency="EUR",
        lines=(Line(sku=MYSTERY_BOX, quantity=1),),
    )


def test_money_is_exact_whether_it_comes_as_a_number_or_as_a_string():
    for total in ("0.1", '"0.1"', "99.99", "1"):
        assert read(FOREIGN.replace(b"99.99", total.encode())).total == Decimal(total.strip('"'))


def test_a_reader_of_version_1_can_read_what_a_newer_minor_adds():
    newer = FOREIGN.replace(b'"1.0"', b'"1.7"').replace(b'"user_id"', b'"coupon": "SUMMER", "user_id"')

    assert read(newer).order_id == 12345


@pytest.mark.parametrize(
    "event", EVENTS, ids=lambda event: f"{event.__event_type__} {event.__event_version__}"
)
def test_every_event_names_the_order_that_it_is_about(event: type[Event]):
    assert event.model_fields["order_id"].annotation is int


def test_every_event_is_a_past_tense_fact():
    types = {event.__event_type__ for event in EVENTS}

    assert all(event_type.endswith(("ed", "sent")) for event_type in types)


def test_money_travels_as_a_string_of_digits():
    event = OrderCreatedV1(order_id=1, user_id=2, total=Decimal("10.10"))

    assert json.loads(event.model_dump_json())["total"] == "10.10"
