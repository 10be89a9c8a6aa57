"""What these tests say all the time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from eventbus.embedded import EmbeddedTransport
from eventbus.outcome import Ack, Outcome
from eventbus.transport import Consumption, Delivery, LogEntry, Message, QueueSpec, QueueStats, Topology

CHARGE = "payment.charge"
NOTIFY = "email.notify"
ORDERS = Topology((QueueSpec(CHARGE, ("order.*",)),))
ORDERS_FOR_TWO = Topology((QueueSpec(CHARGE, ("order.*",)), QueueSpec(NOTIFY, ("order.*",))))


class ManualClock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self._now = datetime(2025, 2, 15, 10, tzinfo=UTC)

    def now(self) -> datetime:
        return self._now

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("the transport does not sleep on the bus's clock")

    def advance(self, seconds: float) -> None:
        self._now += timedelta(seconds=seconds)


def order(body: bytes = b"{}", *, queue: str | None = None, delay: float = 0.0) -> Message:
    return Message(body, "order.created", queue=queue, delay=delay)


def orders(count: int) -> list[Message]:
    """With the bodies b"0", b"1", …"""
    return [order(b"%d" % number) for number in range(count)]


async def send(transport: EmbeddedTransport, *messages: Message) -> None:
    await transport.send(messages, timeout=10.0)


async def next_batch(consumption: Consumption, *, within: float = 5.0) -> Sequence[Delivery]:
    async with asyncio.timeout(within):
        return await anext(aiter(consumption))


async def take(consumption: Consumption, count: int, *, within: float = 5.0) -> list[Delivery]:
    """So many deliveries, not settled."""
    taken: list[Delivery] = []
    while len(taken) < count:
        taken += await next_batch(consumption, within=within)
    return taken


async def settle(consumption: Consumption, deliveries: Sequence[Delivery], outcome: Outcome) -> None:
    await consumption.settle([(delivery, outcome) for delivery in deliveries])


def bodies(deliveries: Sequence[Delivery | LogEntry]) -> list[bytes]:
    return [delivery.message.body for delivery in deliveries]


async def stats_of(transport: EmbeddedTransport, queue: str) -> QueueStats:
    (stats,) = await transport.stats([queue])
    return stats


async def history(transport: EmbeddedTransport, count: int) -> list[LogEntry]:
    """The first `count` entries or more."""
    entries: list[LogEntry] = []
    async with asyncio.timeout(5), transport.log("first") as batches:
        async for batch in batches:
            entries += batch
            if len(entries) >= count:
                break
    return entries


@asynccontextmanager
async def handling(transport: EmbeddedTransport, queue: str) -> AsyncIterator[list[bytes]]:
    """Acks everything that comes, in the background; gives the bodies, as they come."""
    handled: list[bytes] = []

    async def run(consumption: Consumption) -> None:
        async for batch in consumption:
            handled.extend(bodies(batch))
            await settle(consumption, batch, Ack())

    async with transport.consume(queue, prefetch=100) as consumption:
        running = asyncio.create_task(run(consumption))
        try:
            yield handled
        finally:
            await consumption.stop()
            await running
