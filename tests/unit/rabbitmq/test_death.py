"""What a dead letter is told to be, of what the broker wrote on it."""

from __future__ import annotations

import pytest

from eventbus.outcome import Reason
from eventbus.rabbitmq.arrival import Arrival
from eventbus.rabbitmq.death import UNDELIVERED, dead_message_of
from eventbus.rabbitmq.topology import Names, bits

NAMES = Names("events")
BODY = b'{"event_id": "evt_1", "event_type": "order.created"}'
NO_PROPERTIES = b"\x00\x00"
UNREADABLE = b"\xff\xff"


@pytest.mark.parametrize(
    ("properties", "reason"), [(NO_PROPERTIES, UNDELIVERED), (UNREADABLE, Reason.UNDECODABLE)]
)
@pytest.mark.parametrize(
    ("led_to", "queue"), [("queue.payment.charge", "payment.charge"), ("event.order.created", None)]
)
def test_a_retry_without_a_queue_is_for_that_one_alone_and_an_event_for_everybody(
    properties: bytes, reason: str, led_to: str, queue: str | None
):
    message = dead_message_of(NAMES, Arrival(1, NAMES.due, bits(5) + led_to, False, properties, BODY))

    assert message.headers["eventbus-reason"] == reason
    assert (message.queue, message.routing_key) == (queue, "order.created")
