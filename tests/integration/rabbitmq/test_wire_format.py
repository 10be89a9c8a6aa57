"""Other programs, here with pika, read and write what we do."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pika
import pytest

from eventbus.outcome import Ack, DeadLetter, Reason
from eventbus.transport import Topology
from tests.integration.rabbitmq.scene import CHARGE, an_event, receive, send, take

if TYPE_CHECKING:
    from eventbus.rabbitmq import RabbitMQTransport

EXACTLY = (
    b'{"event_id": "evt_abc123", "event_type": "order.created", "timestamp": "2025-02-15T10:00:00Z", '
    b'"version": "1.0",\n "data": {"order_id": 12345, "user_id": 789, "total": 99.99}}'
)


def publish_with_pika(url: str, routing_key: str, body: bytes, **properties: Any) -> None:
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        described = pika.BasicProperties(**properties) if properties else None
        connection.channel().basic_publish("events", routing_key, body, described)


def get_with_pika(url: str, queue: str) -> tuple[Any, Any, bytes]:
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        method, properties, body = connection.channel().basic_get(queue, auto_ack=True)
        assert method is not None, f"{queue} is empty"
        assert body is not None
        return method, properties, body


def ours(headers: dict[str, Any]) -> dict[str, Any]:
    """Without what a quorum queue adds when it hands a message over."""
    return {name: value for name, value in headers.items() if name != "x-delivery-count"}


async def test_a_body_and_a_routing_key_are_enough_to_publish(
    transport: RabbitMQTransport, amqp_url: str
) -> None:
    await transport.apply(Topology((CHARGE,)))
    publish_with_pika(amqp_url, "order.created", EXACTLY)

    (delivery,) = await receive(transport, CHARGE.name, 1)

    assert delivery.message.body == EXACTLY
    assert delivery.message.routing_key == "order.created"
    assert (delivery.attempt, delivery.message.event_id, delivery.message.content_type) == (1, None, None)


async def test_what_we_publish_another_program_reads(transport: RabbitMQTransport, amqp_url: str) -> None:
    await transport.apply(Topology((CHARGE,)))
    when = datetime(2025, 2, 15, 10, tzinfo=UTC)
    headers = {"traceparent": "00-1-2-01", "count": 3, "flag": True, "nested": {"a": ["b"]}}
    await send(transport, an_event(7, headers=headers, timestamp=when, source="order", correlation_id="flow"))

    method, properties, body = get_with_pika(amqp_url, CHARGE.name)

    assert (method.exchange, method.routing_key) == ("events", "order.created")
    assert json.loads(body)["event_id"] == properties.message_id == "evt_7"
    assert (properties.type, properties.app_id, properties.correlation_id) == (
        "order.created",
        "order",
        "flow",
    )
    assert (properties.content_type, properties.delivery_mode) == ("application/json", 2)
    assert properties.timestamp == int(when.timestamp())
    assert ours(properties.headers) == headers


@pytest.mark.parametrize("size", [0, 1, 131_000, 131_064, 131_065, 400_000, 1024 * 1024])
async def test_bodies_of_any_size_pass(transport: RabbitMQTransport, amqp_url: str, size: int) -> None:
    """Around the size of one frame, too."""
    await transport.apply(Topology((CHARGE,)))
    body = bytes(number % 251 for number in range(size))
    await send(transport, an_event(1, body=body), an_event(2, body=body))

    assert get_with_pika(amqp_url, CHARGE.name)[2] == body
    (delivery,) = await receive(transport, CHARGE.name, 1)
    assert delivery.message.body == body


async def test_a_dead_letter_keeps_bytes_id_and_key_for_any_program_to_read(
    transport: RabbitMQTransport, amqp_url: str
) -> None:
    await transport.apply(Topology((CHARGE,)))
    body = b"\xff not what it should be \x00"
    publish_with_pika(
        amqp_url,
        "order.created",
        body,
        message_id="evt_1",
        content_type="text/plain",
        headers={"x-match": "any", "CC": [], "team": "shop"},
    )
    async with transport.consume(CHARGE.name, prefetch=10) as consumption:
        (delivery,) = await take(consumption, 1)
        await consumption.settle([(delivery, DeadLetter(Reason.UNDECODABLE, "bad UTF-8\x1b[31m"))])

    _, properties, kept = get_with_pika(amqp_url, "payment.charge.dead")

    assert kept == body
    assert (properties.message_id, properties.content_type) == ("evt_1", "text/plain")
    headers = ours(properties.headers)
    assert headers.pop("eventbus-failed-at") == headers.pop("eventbus-first-failed-at")
    assert headers == {
        "team": "shop",
        "eventbus-attempt": 1,
        "eventbus-reason": "undecodable",
        "eventbus-error": "bad UTF-8�[31m",
        "eventbus-routing-key": "order.created",
    }


async def test_what_a_stranger_puts_into_headers_stops_nothing(
    transport: RabbitMQTransport, amqp_url: str
) -> None:
    await transport.apply(Topology((CHARGE,)))
    odd = {"eventbus-attempt": "many", "eventbus-routing-key": 7, "": "nameless", "n" * 120: [None, {}, -1]}
    publish_with_pika(amqp_url, "order.created", EXACTLY, headers=odd, timestamp=2**40, priority=255)
    publish_with_pika(amqp_url, "order.created", EXACTLY, message_id="evt_2", user_id="guest")

    async with transport.consume(CHARGE.name, prefetch=10) as consumption:
        first, second = await take(consumption, 2)
        await consumption.settle([(first, DeadLetter(Reason.REJECTED, "odd")), (second, Ack())])

    assert (first.attempt, second.message.event_id) == (1, "evt_2")
    (entry,) = await transport.dead_letters(CHARGE.name, limit=10)
    assert entry.message.body == EXACTLY
