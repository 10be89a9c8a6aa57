"""The wire format is the contract: a client that shares no code with ours writes and reads it."""

from __future__ import annotations

import asyncio
import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pika

from tests.support.eventually import eventually
from tests.support.shop import shop_running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pika.adapters.blocking_connection import BlockingChannel

WIRE = (
    b'{"event_id": "evt_abc123", "event_type": "order.created", "timestamp": "2025-02-15T10:00:00Z",'
    b' "version": "1.0",\n "data": {"order_id": 12345, "user_id": 789, "total": 99.99}}'
)


@contextmanager
def foreign_channel(amqp_url: str) -> Iterator[BlockingChannel]:
    connection = pika.BlockingConnection(pika.URLParameters(amqp_url))
    try:
        channel = connection.channel()
        channel.confirm_delivery()
        yield channel
    finally:
        connection.close()


def publish(amqp_url: str, body: bytes) -> None:
    """Only a body and a routing key."""
    with foreign_channel(amqp_url) as channel:
        channel.basic_publish("events", "order.created", body)


def bind(amqp_url: str, pattern: str) -> None:
    with foreign_channel(amqp_url) as channel:
        channel.queue_declare("foreign", durable=True)
        channel.queue_bind("foreign", "events", pattern)


def read(amqp_url: str) -> list[tuple[pika.BasicProperties, Any]]:
    """What lies in the queue, properties and JSON."""
    found: list[tuple[pika.BasicProperties, Any]] = []
    with foreign_channel(amqp_url) as channel:
        while True:
            method, properties, body = channel.basic_get("foreign", auto_ack=True)
            if method is None or properties is None or body is None:
                return found
            found.append((properties, json.loads(body)))


async def test_the_json_of_the_contract_is_charged_mailed_and_reserved(amqp_url: str):
    async with shop_running(amqp_url) as shop:
        await asyncio.to_thread(publish, amqp_url, WIRE)

        async def handled() -> bool:
            charged = await shop.charges() == {12345: ["captured"]}
            return charged and shop.mails() == {12345: ["confirmation"]} and 12345 in shop.reservations()

        await eventually(handled, within=20)
        assert shop.reservations() == {12345: "reserved"}


async def test_the_json_of_the_contract_published_twice_has_its_effect_once(amqp_url: str):
    async with shop_running(amqp_url) as shop:
        for _ in range(2):
            await asyncio.to_thread(publish, amqp_url, WIRE)
        after = await shop.order()

        assert await shop.ended([after]) == ["completed"]
        assert await shop.charges() == {12345: ["captured"], after: ["captured"]}
        await eventually(lambda: shop.reservations()[12345] == "reserved")
        await eventually(lambda: shop.mails()[12345] == ["confirmation"])


async def test_what_the_shop_publishes_is_json_with_the_five_members(amqp_url: str):
    async with shop_running(amqp_url) as shop:
        await asyncio.to_thread(bind, amqp_url, "order.created")
        order_id = await shop.order()
        await shop.ended([order_id])

        ((properties, event),) = await asyncio.to_thread(read, amqp_url)

    assert {"event_id", "event_type", "timestamp", "version", "data"} <= event.keys()
    assert (event["event_type"], event["version"]) == ("order.created", "2.0")
    assert (event["data"]["order_id"], event["data"]["total"]) == (order_id, "99.99")
    assert properties.content_type == "application/json"
    assert properties.delivery_mode == 2
    assert (properties.message_id, properties.type) == (event["event_id"], "order.created")
    assert properties.app_id == event["source"] == "order"


async def test_everything_an_order_caused_can_be_traced_back_to_it(amqp_url: str):
    async with shop_running(amqp_url) as shop:
        await asyncio.to_thread(bind, amqp_url, "#")
        order_id = await shop.order()
        await shop.ended([order_id])
        events: list[Any] = []

        async def all_told() -> bool:
            events.extend(event for _, event in await asyncio.to_thread(read, amqp_url))
            return {"order.completed", "stock.shipped"} <= {event["event_type"] for event in events}

        await eventually(all_told, within=10)

    (created,) = (event for event in events if event["event_type"] == "order.created")
    caused = [event for event in events if event is not created]
    ids = {event["event_id"] for event in events}
    assert {event["correlation_id"] for event in caused} == {created["event_id"]}
    assert all(event["causation_id"] in ids for event in caused)
