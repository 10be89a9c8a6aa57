"""A dead letter with other data is a new event, checked before it is sent."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Annotated

import pytest

from eventbus import Event, Secret
from eventbus.codec import Codec
from eventbus.dead_letters import correct, data_of
from eventbus.errors import InvalidEvent
from eventbus.headers import REASON
from eventbus.registry import Registry
from eventbus.secret import Secrets
from eventbus.transport import DeadLetterEntry
from tests.support.handling import by_name

QUEUE = "payment.charge"


class OrderCreated(Event, type="order.created", version="1.0"):
    order_id: int


def dead(**members: str) -> DeadLetterEntry:
    message = Codec().encode(by_name("order.created", {"order_id": "x"}, event_id="evt_1", **members))
    body = message.body[:-1] + b',"tenant":"blue"}'
    return DeadLetterEntry.of(replace(message, body=body, headers={REASON: "invalid-data"}))


def test_it_has_a_new_id_and_names_its_cause_and_keeps_all_else():
    correction = correct(dead(source="order"), '{"order_id": 7}', Registry([OrderCreated]), Codec(), QUEUE)

    body = json.loads(correction.message.body)
    assert body["event_id"] == correction.event_id == correction.message.event_id != "evt_1"
    assert (body["causation_id"], body["correlation_id"]) == ("evt_1", "evt_1")
    assert (body["data"], body["source"], body["tenant"]) == ({"order_id": 7}, "order", "blue")
    assert (correction.message.queue, correction.message.headers) == (QUEUE, {})
    assert correction.is_checked
    assert '+  "order_id": 7' in correction.difference


def test_it_goes_to_the_queue_that_the_dead_letter_names_where_it_lies_elsewhere():
    entry = dead()
    entry = replace(entry, message=replace(entry.message, queue=QUEUE))

    correction = correct(entry, '{"order_id": 7}', Registry([OrderCreated]), Codec(), "events.undelivered")

    assert correction.message.queue == QUEUE


def test_the_same_correction_made_twice_has_the_same_id():
    entry = dead()
    ids = [
        correct(entry, f'{{"order_id": {number}}}', Registry(), Codec(), QUEUE).event_id
        for number in (7, 7, 8)
    ]

    assert ids[0] == ids[1] != ids[2]


def test_data_that_does_not_fit_its_class_is_refused_by_the_name_of_the_field():
    with pytest.raises(InvalidEvent, match=r"data\.order_id"):
        correct(dead(), '{"order_id": "y"}', Registry([OrderCreated]), Codec(), QUEUE)


def test_data_that_no_class_describes_is_said_to_be_unchecked():
    assert not correct(dead(), '{"any": 1}', Registry(), Codec(), QUEUE).is_checked


@pytest.mark.parametrize("data", ["", "[1]", '{"a": NaN}', '{"a": 1, "a": 2}', "{"])
def test_what_is_no_json_object_is_refused(data: str):
    with pytest.raises(InvalidEvent):
        correct(dead(), data, Registry(), Codec(), QUEUE)


@pytest.mark.parametrize("body", [b"", b"\xff", b"[]", b'{"event_id": "evt_1"}', b'{"data": {}}'])
def test_what_is_no_envelope_cannot_be_edited(body: bytes):
    entry = dead()
    with pytest.raises(InvalidEvent, match="cannot be edited"):
        data_of(replace(entry, message=replace(entry.message, body=body)))


class CardAdded(Event, type="card.added"):
    user_id: int
    number: Annotated[str, Secret()]


def test_a_mask_that_is_kept_stands_for_the_value_and_the_difference_shows_none():
    message = Codec().encode(by_name("card.added", {"user_id": 7, "number": "4111"}, event_id="evt_1"))
    entry = DeadLetterEntry.of(message)
    registry = Registry([CardAdded])
    assert "4111" not in data_of(entry, Secrets(registry))

    correction = correct(entry, '{"user_id": 8, "number": "***"}', registry, Codec(), QUEUE)

    assert json.loads(correction.message.body)["data"] == {"user_id": 8, "number": "4111"}
    assert "4111" not in correction.difference
    with pytest.raises(InvalidEvent, match="cannot be moved"):
        correct(entry, '{"user_id": 8, "number": "x", "other": "***"}', registry, Codec(), QUEUE)
