"""What the broker gives up itself, and how looking at dead letters treats their queue."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eventbus.outcome import DeadLetter, Reason
from eventbus.transport import Topology
from tests.integration.rabbitmq.scene import CHARGE, an_event, send, take
from tests.support.eventually import eventually

if TYPE_CHECKING:
    from eventbus.rabbitmq import RabbitMQTransport
    from tests.integration.rabbitmq.conftest import OpenTransport


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
    await transport.apply(Topology((CHARGE,)))
    await send(transport, *(an_event(number) for number in range(5)))
    async with transport.consume(CHARGE.name, prefetch=10) as consumption:
        taken = await take(consumption, 5)
        await consumption.settle([(delivery, DeadLetter(Reason.REJECTED, "no")) for delivery in taken])

    seen = [
        [entry.message.event_id for entry in await transport.dead_letters(CHARGE.name, limit=3)]
        for _ in range(25)
    ]

    assert seen == [["evt_0", "evt_1", "evt_2"]] * 25
