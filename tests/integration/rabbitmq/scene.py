"""What these tests do all the time."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from eventbus.outcome import Ack
from eventbus.rabbitmq import RabbitMQOptions, RabbitMQTransport
from eventbus.transport import Message, QueueSpec, Topology

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from eventbus.transport import Consumption, Delivery, Transport
    from tests.support.broker import Broker

CHARGE: Final = QueueSpec("payment.charge", ("order.created",))
NOTIFY: Final = QueueSpec("email.notify", ("order.*",))
BOTH: Final = Topology((CHARGE, NOTIFY))
PATIENCE: Final = 15.0


def an_event(number: int = 0, **changes: Any) -> Message:
    event_id = f"evt_{number}"
    body = {"event_id": event_id, "event_type": "order.created", "data": {"order_id": number}}
    return Message(
        **{
            "body": json.dumps(body).encode(),
            "routing_key": "order.created",
            "event_id": event_id,
            "event_type": "order.created",
            **changes,
        }
    )


@asynccontextmanager
async def opened_at(amqp_url: str, **options: Any) -> AsyncIterator[RabbitMQTransport]:
    transport = RabbitMQTransport(amqp_url, RabbitMQOptions(**options))
    await transport.open()
    try:
        yield transport
    finally:
        await transport.close()


async def send(transport: Transport, *messages: Message, timeout: float = PATIENCE) -> None:
    await transport.send(messages, timeout=timeout)


async def take(consumption: Consumption, count: int, *, within: float = PATIENCE) -> list[Delivery]:
    """As many deliveries, none of them settled."""
    taken: list[Delivery] = []
    async with asyncio.timeout(within):
        async for batch in consumption:
            taken += batch
            if len(taken) >= count:
                break
    return taken


async def receive(
    transport: Transport, queue: str, count: int, *, within: float = PATIENCE
) -> list[Delivery]:
    """As many deliveries of a queue, acked."""
    async with transport.consume(queue, prefetch=1_000) as consumption:
        taken = await take(consumption, count, within=within)
        await consumption.settle([(delivery, Ack()) for delivery in taken])
    return taken


def ids(deliveries: list[Delivery]) -> list[str | None]:
    return [delivery.message.event_id for delivery in deliveries]


def close_connections(rabbitmq: Broker, vhost: str, purpose: str) -> int:
    """How many connections of that purpose the broker has closed."""
    closed = 0
    for connection in rabbitmq.api("GET", f"vhosts/{vhost}/connections"):
        if connection.get("user_provided_name", "").endswith(purpose):
            rabbitmq.api(
                "DELETE", f"connections/{connection['name'].replace(' ', '%20').replace('>', '%3E')}"
            )
            closed += 1
    return closed
