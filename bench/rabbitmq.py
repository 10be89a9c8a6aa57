"""RabbitMQ: eventbus against raw aio-pika, on the same exchange, the same queue and the same history stream.

Raw aio-pika as its documentation advises: publishes gathered, a callback consumer that acks each message.
Neither validates nor encodes anything there, so the difference is what an event costs on eventbus.
"""

from __future__ import annotations

import asyncio

import aio_pika
from aio_pika.abc import AbstractIncomingMessage
from rich.console import Console

from bench.measure import Side, alternate, show
from bench.work import Counter, OrderPlaced, counting_service, orders
from eventbus import Bus
from eventbus.bus import topology

EVENTS = 5_000
IN_FLIGHT = 300
PREFETCH = 200
QUEUE = "bench.count"
BODY = (
    b'{"event_id":"evt_%032d","event_type":"bench.order_placed","timestamp":"2025-02-15T10:00:00Z",'
    b'"version":"1.0","data":{"order_id":1,"user_id":2,"total":"99.99","note":"leave it with the neighbour"}}'
)


async def run(url: str, rounds: int, console: Console) -> None:
    async with Bus(url, source="bench") as bus:
        await bus.transport.apply(topology([counting_service(Counter())]))
        raw = RawClient(url)
        await raw.open()
        try:
            publishing: dict[str, Side] = {
                "raw aio-pika, gathered": Side(raw.publish, raw.purge),
                "eventbus, gathered": Side(lambda: publish_gathered(bus), raw.purge),
                "eventbus, publish_many": Side(lambda: publish_many(bus), raw.purge),
            }
            rates = await alternate(publishing, rounds)
            show("Publish, confirmed", rates, "raw aio-pika, gathered", console)

            async def fill() -> None:
                await raw.purge()
                await publish_many(bus)

            consuming: dict[str, Side] = {
                "raw aio-pika, callback": Side(raw.consume, fill),
                "eventbus, handler": Side(lambda: consume(bus), fill),
            }
            rates = await alternate(consuming, rounds)
            show("Consume and ack (filling not counted)", rates, "raw aio-pika, callback", console)
        finally:
            await raw.close()


async def publish_many(bus: Bus, count: int = EVENTS) -> int:
    await bus.publish_many(orders(count), timeout=60)
    return count


async def publish_gathered(bus: Bus) -> int:
    await asyncio.gather(*(bus.publish(event, timeout=60) for event in orders(EVENTS)))
    return EVENTS


async def consume(bus: Bus) -> int:
    counter = Counter()
    async with bus.running(counting_service(counter, prefetch=PREFETCH)):
        await counter.wait_for(EVENTS)
    return EVENTS


class RawClient:
    """aio-pika with nothing around it."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def open(self) -> None:
        self._connection = await aio_pika.connect(self._url)
        self._channel = await self._connection.channel(publisher_confirms=True)
        self._exchange = await self._channel.get_exchange("events")

    async def close(self) -> None:
        await self._connection.close()

    async def purge(self) -> None:
        queue = await self._channel.get_queue(QUEUE)
        await queue.purge()

    async def publish(self) -> int:
        window = asyncio.Semaphore(IN_FLIGHT)
        key = OrderPlaced.__event_type__

        async def one(number: int) -> None:
            async with window:
                message = aio_pika.Message(
                    BODY % number,
                    content_type="application/json",
                    delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
                    message_id=f"evt_{number:032d}",
                    type=key,
                )
                await self._exchange.publish(message, key)

        await asyncio.gather(*(one(number) for number in range(EVENTS)))
        return EVENTS

    async def consume(self) -> int:
        counter = Counter()

        async def handle(message: AbstractIncomingMessage) -> None:
            async with message.process():
                counter.count()

        async with self._connection.channel() as channel:
            await channel.set_qos(prefetch_count=PREFETCH)
            queue = await channel.get_queue(QUEUE)
            tag = await queue.consume(handle)
            await counter.wait_for(EVENTS)
            await queue.cancel(tag)
        return EVENTS
