from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from pamqp.commands import Basic
from pamqp.header import ContentHeader

from eventbus.errors import InvalidEvent
from eventbus.rabbitmq.arrival import Arrival
from eventbus.rabbitmq.messages import message_of, properties_of
from eventbus.rabbitmq.topology import Names, bits
from eventbus.transport import Message

NAMES = Names("events")
WHEN = datetime(2025, 2, 15, 10, tzinfo=UTC)
BODY = b'{"event_type": "order.created"}'


def read(written: bytes) -> Basic.Properties:
    header = ContentHeader()
    header.unmarshal(b"\x00\x3c\x00\x00" + bytes(8) + written)
    return header.properties


def written(properties: Basic.Properties) -> bytes:
    return ContentHeader(0, 0, properties).marshal()[12:]


def arrived(exchange: str, routing_key: str, *, body: bytes = BODY, **properties: object) -> Message:
    described = Basic.Properties(**properties)  # type: ignore[arg-type]
    return message_of(NAMES, Arrival(1, exchange, routing_key, False, written(described), body))


def test_properties_are_those_of_the_contract() -> None:
    properties = read(
        properties_of(
            Message(
                BODY,
                "order.created",
                {"traceparent": "00-1-2-01"},
                event_id="evt_1",
                event_type="order.created",
                timestamp=WHEN,
                source="order",
                correlation_id="flow",
            )
        )
    )

    assert properties == Basic.Properties(
        content_type="application/json",
        delivery_mode=2,
        headers={"traceparent": "00-1-2-01"},
        message_id="evt_1",
        message_type="order.created",
        timestamp=WHEN,
        app_id="order",
        correlation_id="flow",
    )


def test_a_message_of_only_a_body_has_no_properties_but_that_it_is_kept() -> None:
    assert read(properties_of(Message(b"", "a", content_type=None))) == Basic.Properties(delivery_mode=2)


def test_the_headers_of_the_broker_are_never_sent() -> None:
    headers = {"x-death": [{}], "X-Delay": 5, "CC": ["other"], "bcc": ["other"], "kept": 1}

    assert read(properties_of(Message(b"", "a", headers))).headers == {"kept": 1}


def test_a_message_for_one_queue_carries_its_routing_key() -> None:
    assert read(properties_of(Message(b"", "order.created", queue="q"))).headers == {
        "eventbus-routing-key": "order.created"
    }


def test_a_time_that_amqp_does_not_know_is_left_out() -> None:
    assert (
        read(properties_of(Message(b"", "a", timestamp=datetime(1969, 7, 20, tzinfo=UTC)))).timestamp is None
    )


def test_a_decimal_in_the_header_of_an_event_is_refused_as_the_log_cannot_keep_it() -> None:
    with pytest.raises(InvalidEvent, match="price"):
        properties_of(Message(b"", "a", {"price": Decimal("9.99")}))


def test_an_event_arrives_under_its_routing_key() -> None:
    assert arrived("events", "order.created").routing_key == "order.created"


@pytest.mark.parametrize(
    ("exchange", "routing_key"),
    [
        ("events.redeliver", "payment.charge"),
        ("events.dead", "payment.charge"),
        ("events.delay.deliver", f"{bits(4)}queue.payment.charge"),
    ],
)
@pytest.mark.parametrize(
    "properties",
    [
        {"headers": {"eventbus-routing-key": "order.created"}, "message_type": "other"},
        {"message_type": "order.created"},
        {},
    ],
)
def test_a_copy_for_one_queue_arrives_under_the_key_of_the_event(
    exchange: str, routing_key: str, properties: dict[str, Any]
) -> None:
    assert arrived(exchange, routing_key, **properties).routing_key == "order.created"


def test_a_delayed_event_arrives_under_its_type() -> None:
    assert arrived("events.delay.04", f"{bits(21)}event.order.created").routing_key == "order.created"


def test_what_a_stranger_sends_to_a_queue_without_a_type_keeps_the_key_it_came_by() -> None:
    for body in (b"", b"[]", b'{"event_type": 7}', b"\xff", b"[" * 100_000):
        assert arrived("events.redeliver", "payment.charge", body=body).routing_key == "payment.charge"


@pytest.mark.parametrize(
    ("exchange", "key"), [("events", "order.created"), ("events.delay.00", f"{bits(1)}event.order.created")]
)
def test_what_the_broker_gave_up_itself_has_the_key_it_was_published_under(exchange: str, key: str) -> None:
    death = {"exchange": exchange, "routing-keys": [key], "reason": "delivery_limit"}

    message = arrived("events.dead", "payment.charge", headers={"x-death": [death]})

    assert message.routing_key == "order.created"


def test_the_headers_of_the_broker_do_not_arrive() -> None:
    headers = {"x-delivery-count": 3, "tenant": 2, "raw": bytearray(b"\x00")}

    assert arrived("events", "a", headers=headers).headers == {"tenant": 2, "raw": b"\x00"}


def test_metadata_arrives() -> None:
    message = arrived(
        "events",
        "order.created",
        message_id="evt_1",
        message_type="order.created",
        timestamp=WHEN,
        app_id="order",
        correlation_id="flow",
    )

    assert json.loads(message.body) == {"event_type": "order.created"}
    assert (message.event_id, message.event_type, message.source, message.correlation_id) == (
        "evt_1",
        "order.created",
        "order",
        "flow",
    )
    assert (message.timestamp, message.content_type) == (WHEN, None)


@pytest.mark.parametrize(
    ("exchange", "key"),
    [(NAMES.events, "order.created"), (NAMES.due, f"{bits(1)}event.order.created")],
)
def test_what_a_stranger_publishes_under_our_headers_is_left_out(exchange: str, key: str) -> None:
    headers = {
        "eventbus-attempt": 5,
        "eventbus-routing-key": "order.paid",
        "eventbus-replay-id": "r1",
        "eventbus-reprocess": True,
        "tenant": "t",
    }

    message = arrived(exchange, key, headers=headers)

    assert (message.routing_key, message.headers) == ("order.created", {"tenant": "t"})


def test_a_copy_for_one_queue_keeps_our_headers() -> None:
    headers = {"eventbus-attempt": 5, "eventbus-routing-key": "order.paid"}

    message = arrived(NAMES.redeliver, "payment.charge", headers=headers)

    assert (message.routing_key, message.headers) == ("order.paid", headers)
