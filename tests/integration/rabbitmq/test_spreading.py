"""Which of its two publishing connections a call takes, and what becomes of it when there is only one."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from eventbus.ids import new_event_id
from eventbus.outcome import Ack
from eventbus.rabbitmq.spreading import MANY
from eventbus.transport import Topology
from tests.integration.rabbitmq.scene import CHARGE, an_event, close_connections, ids, opened_at
from tests.support.eventually import eventually
from tests.support.fault_proxy import FaultProxy

if TYPE_CHECKING:
    from collections.abc import Callable

    from eventbus.rabbitmq import RabbitMQTransport
    from eventbus.transport import Message
    from tests.support.broker import Broker

SECOND = "publishing more"


async def declare(amqp_url: str) -> None:
    """By another process: whoever declares a queue has the connection that consumes, too."""
    async with opened_at(amqp_url) as transport:
        await transport.apply(Topology((CHARGE,)))


async def send_side_by_side(
    transport: RabbitMQTransport, calls: int, size: int, *, until: Callable[[], bool] = lambda: True
) -> list[list[Message]]:
    """What was sent: so many calls at a time, each of so many events, at least once and until that is so."""
    sent: list[list[Message]] = []

    async def one_after_another() -> None:
        while True:
            call = [an_event(event_id=new_event_id()) for _ in range(size)]
            sent.append(call)
            await transport.send(call, timeout=15)
            if until():
                return

    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        for _ in range(calls):
            group.create_task(one_after_another())
    return sent


def events_of(calls: list[list[Message]]) -> set[str | None]:
    return {message.event_id for call in calls for message in call}


async def drain(transport: RabbitMQTransport, last: set[str | None]) -> list[str | None]:
    """The ids in the queue, in their order, until all these were among them."""
    arrived: list[str | None] = []
    async with asyncio.timeout(30), transport.consume(CHARGE.name, prefetch=1_000) as consumption:
        async for deliveries in consumption:
            await consumption.settle([(delivery, Ack()) for delivery in deliveries])
            arrived += ids([*deliveries])
            last = last.difference(arrived[-len(deliveries) :])
            if not last:
                break
    return arrived


async def test_calls_of_many_events_side_by_side_take_two_connections_each_in_its_order(
    amqp_url: str,
) -> None:
    await declare(amqp_url)
    async with FaultProxy.between(amqp_url) as (proxy, url), opened_at(url) as transport:
        await send_side_by_side(transport, 4, MANY, until=lambda: proxy.accepted == 2)
        calls = await send_side_by_side(transport, 4, 5 * MANY)
        assert proxy.accepted == 2

    async with opened_at(amqp_url) as transport:
        arrived = await drain(transport, events_of(calls))
    for call in calls:
        mine = [message.event_id for message in call]
        wanted = set(mine)
        assert [event_id for event_id in arrived if event_id in wanted] == mine


async def test_small_calls_and_one_large_call_after_another_take_one_connection(amqp_url: str) -> None:
    await declare(amqp_url)
    async with FaultProxy.between(amqp_url) as (proxy, url), opened_at(url) as transport:
        await send_side_by_side(transport, 20, MANY - 1)
        await send_side_by_side(transport, 1, 10 * MANY)

        assert proxy.accepted == 1


async def test_where_no_second_connection_is_to_be_had_all_goes_over_the_first(
    transport: RabbitMQTransport, rabbitmq: Broker, vhost: str
) -> None:
    await transport.apply(Topology((CHARGE,)))
    rabbitmq.api("PUT", f"vhost-limits/{vhost}/max-connections", {"value": 1})

    calls = await send_side_by_side(transport, 4, 5 * MANY)

    rabbitmq.api("DELETE", f"vhost-limits/{vhost}/max-connections")
    arrived = await drain(transport, events_of(calls))
    assert len(arrived) == len(set(arrived)) == len(events_of(calls))


async def test_a_second_connection_that_the_broker_has_closed_is_replaced(
    amqp_url: str, rabbitmq: Broker, vhost: str
) -> None:
    await declare(amqp_url)
    async with FaultProxy.between(amqp_url) as (proxy, url), opened_at(url) as transport:
        await send_side_by_side(transport, 4, MANY)
        assert await eventually(lambda: close_connections(rabbitmq, vhost, SECOND), within=15)

        await send_side_by_side(transport, 4, MANY, until=lambda: proxy.accepted == 3)
