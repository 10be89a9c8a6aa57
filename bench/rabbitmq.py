"""RabbitMQ: eventbus against raw aio-pika, on the same exchange, the same queue and the same history stream.

Raw aio-pika as its documentation advises: publishes gathered, a callback consumer that acks each message.
Neither validates nor encodes anything there, so the difference is what an event costs on eventbus.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

import aio_pika
from aio_pika.abc import AbstractIncomingMessage
from rich.console import Console

from bench.measure import Side, alternate, show
from bench.work import Counter, OrderPlaced, counting_service, orders
from eventbus import Bus
from eventbus.service import topology

RAW = "raw aio-pika"
EVENTS = 20_000
FEW_EVENTS = 1_000
IN_FLIGHT = 300
PREFETCH = 500
MOMENT = 0.001
"""Seconds."""
QUEUE = "bench.count"
BODY = (
    b'{"event_id":"evt_%032d","event_type":"bench.order_placed","timestamp":"2025-02-15T10:00:00Z",'
    b'"version":"1.0","data":{"order_id":1,"user_id":2,"total":"99.99","note":"leave it with the neighbour"}}'
)


async def run(url: str, rounds: int, console: Console) -> None:
    with TemporaryDirectory() as directory:
        in_memory = Bus(url, source="bench", store="memory://")
        in_sqlite = Bus(url, source="bench", store=f"sqlite:///{Path(directory) / 'inbox.db'}")
        async with in_memory as bus, in_sqlite, RawClient(url) as raw:
            await bus.transport.apply(topology([counting_service(Counter())]))
            await raw.open_exchange()
            for title, sides in _cases(raw, bus, in_sqlite).items():
                show(title, await alternate(sides, rounds), RAW, console)


def _cases(raw: RawClient, bus: Bus, in_sqlite: Bus) -> dict[str, dict[str, Side]]:
    async def fill() -> None:
        await raw.purge()
        await publish_many(bus)

    return {
        "Publish, confirmed": {
            RAW: Side(raw.publish, raw.purge),
            "eventbus, gathered": Side(lambda: publish_gathered(bus), raw.purge),
            "eventbus, publish_many": Side(lambda: publish_many(bus), raw.purge),
        },
        "Publish, one by one": {
            RAW: Side(raw.publish_one_by_one, raw.purge),
            "eventbus": Side(lambda: publish_one_by_one(bus), raw.purge),
        },
        "Consume and ack (filling not counted)": {
            RAW: Side(raw.consume, fill),
            "eventbus, no inbox": Side(lambda: consume(bus, deduplicate=False), fill),
            "eventbus, inbox in memory": Side(lambda: consume(bus), fill),
            "eventbus, inbox in SQLite": Side(lambda: consume(in_sqlite), fill),
        },
        "The same, the handler awaits 1 ms": {
            RAW: Side(lambda: raw.consume(waits=MOMENT), fill),
            "eventbus, inbox in memory": Side(lambda: consume(bus, waits=MOMENT), fill),
        },
        "Publish and consume at once": {
            RAW: Side(raw.publish_and_consume, raw.purge),
            "eventbus, publish_many, inbox in memory": Side(lambda: publish_and_consume(bus), raw.purge),
        },
    }


async def publish_many(bus: Bus, count: int = EVENTS) -> int:
    await bus.publish_many(orders(count), timeout=60)
    return count


async def publish_gathered(bus: Bus) -> int:
    await asyncio.gather(*(bus.publish(event, timeout=60) for event in orders(EVENTS)))
    return EVENTS


async def publish_one_by_one(bus: Bus) -> int:
    for event in orders(FEW_EVENTS):
        await bus.publish(event)
    return FEW_EVENTS


async def consume(bus: Bus, *, deduplicate: bool = True, waits: float = 0.0) -> int:
    counter = Counter()
    service = counting_service(counter, prefetch=PREFETCH, deduplicate=deduplicate, waits=waits)
    async with bus.running(service):
        await counter.wait_for(EVENTS)
    return EVENTS


async def publish_and_consume(bus: Bus) -> int:
    counter = Counter()
    async with bus.running(counting_service(counter, prefetch=PREFETCH, deduplicate=True)):
        await publish_many(bus)
        await counter.wait_for(EVENTS)
    return EVENTS


class RawClient:
    """aio-pika with nothing around it."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def __aenter__(self) -> Self:
        self._connection = await aio_pika.connect(self._url)
        self._channel = await self._connection.channel(publisher_confirms=True)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._connection.close()

    async def open_exchange(self) -> None:
        self._exchange = await self._channel.get_exchange("events")

    async def purge(self) -> None:
        queue = await self._channel.get_queue(QUEUE)
        await queue.purge()

    async def publish(self) -> int:
        window = asyncio.Semaphore(IN_FLIGHT)

        async def one(number: int) -> None:
            async with window:
                await self._publish(number)

        await asyncio.gather(*(one(number) for number in range(EVENTS)))
        return EVENTS

    async def publish_one_by_one(self) -> int:
        for number in range(FEW_EVENTS):
            await self._publish(number)
        return FEW_EVENTS

    async def consume(self, *, waits: float = 0.0) -> int:
        counter = Counter()

        async def handle(message: AbstractIncomingMessage) -> None:
            async with message.process():
                if waits:
                    await asyncio.sleep(waits)
                counter.count()

        async with self._connection.channel() as channel:
            await channel.set_qos(prefetch_count=PREFETCH)
            queue = await channel.get_queue(QUEUE)
            tag = await queue.consume(handle)
            await counter.wait_for(EVENTS)
            await queue.cancel(tag)
        return EVENTS

    async def publish_and_consume(self) -> int:
        async with asyncio.TaskGroup() as both:
            both.create_task(self.consume())
            both.create_task(self.publish())
        return EVENTS

    async def _publish(self, number: int) -> None:
        key = OrderPlaced.__event_type__
        message = aio_pika.Message(
            BODY % number,
            content_type="application/json",
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            message_id=f"evt_{number:032d}",
            type=key,
        )
        await self._exchange.publish(message, key)
