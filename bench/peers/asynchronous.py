"""The work of every client that lives in an event loop. The client itself publishes one, and consumes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import uvloop

from bench.peers.job import Job, Result
from bench.peers.meter import Meter, Tally, percentiles

Handle = Callable[[int], Awaitable[None]]
Finish = Callable[[Result], None]

WARMING_UP = 20
"""Publishes before the time begins: channels and caches are there."""
LEFT_OUT = 0.2
"""Of a run at a fixed rate, the part at its beginning that is not counted."""


class Client(Protocol):
    """One of those compared, connected."""

    async def publish(self, number: int) -> object:
        """Return when the broker has confirmed it."""
        ...

    async def publish_many(self, numbers: range) -> None:
        """The same for many; only where the client has a call for it."""
        ...

    def consuming(self, handle: Handle) -> AbstractAsyncContextManager[object]:
        """Inside, `handle` gets the number of each event, and each is acked after it."""
        ...


def run(job: Job, opened: Callable[[Job], AbstractAsyncContextManager[Client]], finish: Finish) -> None:
    """With uvloop, as the documentation of each of them advises."""
    uvloop.run(_run(job, opened, finish))


async def _run(
    job: Job, opened: Callable[[Job], AbstractAsyncContextManager[Client]], finish: Finish
) -> None:
    async with opened(job) as client:
        match job.work:
            case "publish one" | "publish gathered" | "publish many":
                result = await _publish(job, client)
            case "consume":
                result = await _consume(job, client)
            case "both":
                result = await _both(job, client)
            case "latency":
                result = await _latency(job, client)
        await asyncio.to_thread(finish, result)


async def _publish(job: Job, client: Client) -> Result:
    warming_up = min(WARMING_UP, job.count - 1)
    for number in range(warming_up):
        await client.publish(number)
    meter = Meter()
    meter.begin()
    if job.work == "publish one":
        for number in range(job.count):
            await client.publish(number)
    elif job.work == "publish many":
        await client.publish_many(range(job.count))
    else:
        await _gathered(client, job.count, job.in_flight)
    meter.end()
    return meter.result(job.count, sent=job.count + warming_up)


async def _gathered(client: Client, count: int, in_flight: int) -> None:
    numbers = iter(range(count))

    async def one_after_another(numbers: Iterator[int]) -> None:
        for number in numbers:
            await client.publish(number)

    await asyncio.gather(*(one_after_another(numbers) for _ in range(in_flight)))


async def _consume(job: Job, client: Client) -> Result:
    meter = Meter()
    wanted = job.count * job.subscriptions
    tally = Tally(wanted, meter)
    async with client.consuming(_handler(job, tally)):
        await tally.done.wait()
        return meter.result(wanted - 1)


async def _both(job: Job, client: Client) -> Result:
    meter = Meter()
    tally = Tally(job.count, meter)
    async with client.consuming(_handler(job, tally)):
        meter.begin()
        if job.client == "eventbus":  # the call that it has for many
            await client.publish_many(range(job.count))
        else:
            await _gathered(client, job.count, job.in_flight)
        await tally.done.wait()
        return meter.result(job.count, sent=job.count)


def _handler(job: Job, tally: Tally) -> Handle:
    async def count(_number: int) -> None:
        tally.count()

    async def wait_and_count(_number: int) -> None:
        await asyncio.sleep(job.handler_seconds)
        tally.count()

    return wait_and_count if job.handler_seconds else count


async def _latency(job: Job, client: Client) -> Result:
    """From the call of publish to the handler, on one clock. Nobody waits for a publish before the next."""
    meter = Meter()
    tally = Tally(job.count, meter)
    sent, handled = [0.0] * job.count, [0.0] * job.count

    async def handle(number: int) -> None:
        handled[number] = time.perf_counter()
        tally.count()

    async with client.consuming(handle):
        meter.begin()
        tasks: set[asyncio.Task[object]] = set()
        published = 0
        while published < job.count:
            due = min(job.count, int((time.perf_counter() - meter.began) * job.rate) + 1)
            for number in range(published, due):
                sent[number] = time.perf_counter()
                task = asyncio.ensure_future(client.publish(number))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
            published = max(due, published)
            await asyncio.sleep(max(0.001, meter.began + published / job.rate - time.perf_counter()))
        await asyncio.gather(*tasks)
        await tally.done.wait()
    waits = [end - begin for begin, end in zip(sent, handled, strict=True)][int(job.count * LEFT_OUT) :]
    return meter.result(job.count, sent=job.count, latency=percentiles(waits))
