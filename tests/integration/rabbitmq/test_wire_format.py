"""Other programs, here with pika, read and write what we do."""

from __future__ import annotations

import asyncio
import functools
import json
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pika
import pytest

from eventbus.outcome import Ack, DeadLetter, Reason
from eventbus.transport import Topology
from tests.integration.rabbitmq.scene import (
    CHARGE,
    NOTIFY,
    PATIENCE,
    an_event,
    ids,
    opened_at,
    receive,
    send,
    take,
)
from tests.support.eventually import eventually
from tests.support.fault_proxy import FaultProxy, Method, Way

if TYPE_CHECKING:
    from eventbus.rabbitmq import RabbitMQTransport
    from eventbus.transport import LogEntry

EXACTLY = (
    b'{"event_id": "evt_abc123", "event_type": "order.created", "timestamp": "2025-02-15T10:00:00Z", '
    b'"version": "1.0",\n "data": {"order_id": 12345, "user_id": 789, "total": 99.99}}'
)


def publish_with_pika(url: str, routing_key: str, body: bytes, **properties: Any) -> None:
    described = pika.BasicProperties(**properties) if properties else None
    with pika.BlockingConnection(pika.URLParameters(url)) as connection, connection.channel() as channel:
        channel.confirm_delivery()
        channel.basic_publish("events", routing_key, body, described)


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


def publish_unreadable(url: str, body: bytes) -> None:
    """With a header nested so deeply that nobody reads it, and hardly anybody writes it."""
    nested = functools.reduce(lambda inner, _: [inner], range(1_500), list[Any]())
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(10_000)
    try:
        publish_with_pika(url, "order.created", body, headers={"nested": nested})
    finally:
        sys.setrecursionlimit(limit)


async def test_what_has_unreadable_headers_is_a_dead_letter_that_can_be_looked_at_and_redriven(
    transport: RabbitMQTransport, amqp_url: str
) -> None:
    await transport.apply(Topology((CHARGE,)))
    body = b'{"event_id": "evt_1", "event_type": "order.created"}'
    publish_unreadable(amqp_url, body)
    async with transport.consume(CHARGE.name, prefetch=1) as consumption:
        publish_with_pika(amqp_url, "order.created", EXACTLY, message_id="evt_2")
        assert ids(await take(consumption, 1)) == ["evt_2"]

    (entry,) = await eventually(lambda: transport.dead_letters(CHARGE.name, limit=10))
    assert (entry.reason, entry.message.event_id) == ("undecodable", "evt_1")
    assert "cannot be read" in entry.error
    async with transport.consume(f"{CHARGE.name}.dead", prefetch=1) as consumption:
        assert ids(await take(consumption, 1)) == ["evt_1"]
    (entry,) = await eventually(lambda: transport.dead_letters(CHARGE.name, limit=10))  # as it was
    assert (entry.message.body, entry.message.routing_key) == (body, "order.created")


async def test_the_log_has_what_has_unreadable_headers(transport: RabbitMQTransport, amqp_url: str) -> None:
    """Of which a stream keeps fewer kinds, but times."""
    await transport.apply(Topology((CHARGE,)))
    publish_with_pika(amqp_url, "order.created", b"1")
    with pytest.MonkeyPatch.context() as patching:
        patching.setattr("pika.data.calendar.timegm", lambda _: 1_739_613_600_000_000)
        publish_with_pika(amqp_url, "order.created", b"2", headers={"at": datetime.now(UTC)})
    publish_with_pika(amqp_url, "order.created", b"3")

    found = await everything_logged(transport, 3)

    assert [(entry.offset, entry.message.body) for entry in found] == [(0, b"1"), (1, b"2"), (2, b"3")]
    async with transport.log(1) as batches:
        assert [entry.offset for entry in await anext(batches)][:1] == [1]


async def test_a_routing_key_that_is_no_text_stops_nothing(
    transport: RabbitMQTransport, amqp_url: str
) -> None:
    await transport.apply(Topology((NOTIFY,)))
    async with FaultProxy.between(amqp_url) as (proxy, url), opened_at(url) as stranger:
        odd = proxy.change_next(
            Way.UP, Method.PUBLISH, lambda frame: frame.replace(b"cr??ted", b"cr\xe9\xffted")
        )
        await send(stranger, an_event(1, routing_key="order.cr??ted"))
        await odd
    await send(transport, an_event(2))

    arrived = await receive(transport, NOTIFY.name, 2)

    assert [delivery.message.routing_key for delivery in arrived] == [
        "order.cr\\xe9\\xffted",
        "order.created",
    ]
    assert [entry.message.event_id for entry in await everything_logged(transport, 2)] == ["evt_1", "evt_2"]


async def everything_logged(transport: RabbitMQTransport, count: int) -> list[LogEntry]:
    found: list[LogEntry] = []
    async with asyncio.timeout(PATIENCE), transport.log("first") as batches:
        async for batch in batches:
            found += batch
            if len(found) >= count:
                break
    return found
