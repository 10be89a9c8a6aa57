"""What the broker gives up itself, and how looking at dead letters treats their queue."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from eventbus.dead_letters import DeadLetters
from eventbus.errors import BrokerUnreachable
from eventbus.outcome import DeadLetter, Reason
from eventbus.transport import Topology
from tests.integration.rabbitmq.scene import CHARGE, an_event, opened_at, send, take
from tests.support.eventually import eventually
from tests.support.fault_proxy import FaultProxy, Method, Way

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from eventbus.rabbitmq import RabbitMQTransport
    from eventbus.transport import Transport
    from tests.integration.rabbitmq.conftest import OpenTransport

SOON = {"answer_timeout": 2.0, "connect_timeout": 2.0}


async def test_the_broker_gives_up_what_is_never_settled(opened: OpenTransport) -> None:
    async with opened(delivery_limit=2) as transport:
        await transport.apply(Topology((CHARGE,)))
        await send(transport, an_event(1, headers={"traceparent": "00-1-2-01"}))
        for _ in range(3):
            async with transport.consume(CHARGE.name, prefetch=1) as consumption:
                await take(consumption, 1)

        (entry,) = await eventually(lambda: transport.dead_letters(CHARGE.name, limit=10))

    assert entry.reason == "delivery-limit"
    assert entry.message.routing_key == "order.created"
    assert entry.message.headers["traceparent"] == "00-1-2-01"
    assert entry.died_at is not None
    assert "never settled" in entry.error


async def test_looking_often_uses_nothing_up(transport: RabbitMQTransport) -> None:
    await give_five_up(transport)

    seen = [
        [entry.message.event_id for entry in await transport.dead_letters(CHARGE.name, limit=3)]
        for _ in range(25)
    ]

    assert seen == [["evt_0", "evt_1", "evt_2"]] * 25


async def look(transport: Transport) -> None:
    await transport.dead_letters(CHARGE.name, limit=100)


async def redrive(transport: Transport) -> None:
    await DeadLetters(transport, CHARGE.name).redrive()


@pytest.mark.parametrize("work", [look, redrive])
async def test_a_network_that_falls_silent_is_not_taken_for_others_that_hold_them(
    transport: RabbitMQTransport, amqp_url: str, work: Callable[[Transport], Awaitable[None]]
) -> None:
    await give_five_up(transport)

    async with FaultProxy.between(amqp_url) as (proxy, through), opened_at(through, **SOON) as behind:

        def fall_silent(_: bytes) -> bytes:
            proxy.black_hole()
            return b""

        silent = proxy.change_next(Way.DOWN, Method.DELIVER, fall_silent)
        with pytest.raises(BrokerUnreachable):
            await asyncio.wait_for(work(behind), 60)

    assert silent.done()


async def give_five_up(transport: Transport) -> None:
    await transport.apply(Topology((CHARGE,)))
    await send(transport, *(an_event(number) for number in range(5)))
    async with transport.consume(CHARGE.name, prefetch=10) as consumption:
        taken = await take(consumption, 5)
        await consumption.settle([(delivery, DeadLetter(Reason.REJECTED, "no")) for delivery in taken])
