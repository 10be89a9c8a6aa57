"""eventbus: a model is made and validated for each event, and validated again before the handler."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from importlib.metadata import version

from bench.peers import asynchronous
from bench.peers.asynchronous import Finish, Handle
from bench.peers.body import note
from bench.peers.job import QUEUE, Job, queue_names
from bench.work import OrderPlaced
from eventbus import Bus, Service, Subscription, subscribe

BATCH = 250
"""Events of one call of publish_many."""
LANES = 4
"""Such calls at a time, so that 1000 are in flight: while some wait for confirms, one is prepared."""
SERVICE, _, _ = QUEUE.partition(".")


def run(job: Job, finish: Finish) -> None:
    asynchronous.run(job, opened, finish)


def versions() -> dict[str, str]:
    return {name: version(name) for name in ("eventbus", "aio-pika", "pydantic", "uvloop")}


@asynccontextmanager
async def opened(job: Job) -> AsyncGenerator[EventBus]:
    async with Bus(job.url, source="bench", store=job.store or "memory://", declare=False) as bus:
        yield EventBus(bus, job)


class EventBus:
    """A bus as a service has it; its topology is declared beforehand, as a deploy step would."""

    def __init__(self, bus: Bus, job: Job) -> None:
        self._bus = bus
        self._job = job
        self._note = note(job.size)

    async def publish(self, number: int) -> object:
        return await self._bus.publish(self._event(number), timeout=60)

    async def publish_many(self, numbers: range) -> None:
        batches = iter([numbers[at : at + BATCH] for at in range(0, len(numbers), BATCH)])

        async def one_after_another() -> None:
            for batch in batches:
                await self._bus.publish_many(map(self._event, batch), timeout=60)

        await asyncio.gather(*(one_after_another() for _ in range(LANES)))

    @asynccontextmanager
    async def consuming(self, handle: Handle) -> AsyncGenerator[None]:
        async with self._bus.running(service(self._job, handle)):
            yield

    def _event(self, number: int) -> OrderPlaced:
        return OrderPlaced(order_id=number, user_id=2, total=Decimal("99.99"), note=self._note)


def service(job: Job, handle: Handle) -> Service:
    """One subscription for each queue; its concurrency is that of the clients without one, the prefetch."""

    def subscription(name: str) -> Subscription[..., object]:
        async def count(event: OrderPlaced) -> None:
            await handle(event.order_id)

        marked: Callable[..., Subscription[..., object]] = subscribe(
            OrderPlaced,
            name=name.removeprefix(f"{SERVICE}."),
            prefetch=job.prefetch,
            concurrency=job.prefetch,
            deduplicate=bool(job.store),
        )
        return marked(count)

    return Service(SERVICE, [subscription(name) for name in queue_names(job.subscriptions)])
