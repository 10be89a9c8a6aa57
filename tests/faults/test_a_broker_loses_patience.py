"""Handlers that take longer than the broker waits for an ack: it takes their deliveries back, and hands them
over again while they run (`consumer_timeout`, half an hour of most brokers)."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Final

import pytest

from eventbus import Event, Service, subscribe
from tests.support.eventually import eventually
from tests.support.load import bus_to
from tests.support.rabbitmq_node import RabbitNode

LIMIT: Final = "application:set_env(rabbit, {}, {})"
"""Of channels that are opened from now on, in milliseconds."""
EVENTS: Final = 12
PATIENCE: Final = 60.0


class Asked(Event, type="patience.asked"):
    number: int


class Work:
    """The first event is handled until somebody says so; by a plain function, a thread is blocked so long."""

    def __init__(self) -> None:
        self.waiting: Counter[int] = Counter()
        self.blocking: Counter[int] = Counter()
        self.may_end = threading.Event()

        @subscribe(Asked, concurrency=2)
        async def waits(event: Asked) -> None:
            self.waiting[event.number] += 1
            if event.number == 0:
                await asyncio.to_thread(self.may_end.wait, PATIENCE)

        @subscribe(Asked, concurrency=2)
        def blocks(event: Asked) -> None:
            self.blocking[event.number] += 1
            if event.number == 0:
                self.may_end.wait(PATIENCE)

        self.service = Service("shop", [waits, blocks])


@pytest.fixture
def impatient(node: RabbitNode, node_url: str) -> Iterator[str]:
    def set_to(patience: int, looks_every: int) -> None:
        limits = (("consumer_timeout", patience), ("channel_tick_interval", looks_every))
        node.ctl("eval", ", ".join(LIMIT.format(name, value) for name, value in limits) + ".")

    set_to(1000, 200)
    yield node_url
    set_to(1_800_000, 60_000)


async def test_a_handler_that_takes_longer_than_the_broker_waits_runs_once(
    impatient: str, caplog: pytest.LogCaptureFixture
):
    def losses(queue: str) -> int:
        lost = (line for line in caplog.messages if "consumption.lost" in line and f"queue={queue}" in line)
        return sum("timed out" in line or "cancelled the consumer" in line for line in lost)  # as from 4.3 on

    work, queues = Work(), ("shop.waits", "shop.blocks")
    async with bus_to(impatient, store="memory://") as bus:
        async with bus.running(work.service):
            await bus.publish_many([Asked(number=n) for n in range(EVENTS)])
            await eventually(lambda: all(losses(queue) >= 2 for queue in queues), within=PATIENCE)
            await eventually(lambda: len(work.waiting) == len(work.blocking) == EVENTS, within=PATIENCE)
            work.may_end.set()

            async def nothing_waits() -> bool:
                found = await bus.transport.stats(queues)
                return {(stats.ready, stats.dead) for stats in found} == {(0, 0)}

            await eventually(nothing_waits, within=PATIENCE)
        assert await nothing_waits()  # nor does anything go back when the worker ends: all of it was acked
    assert {*work.waiting.values(), *work.blocking.values()} == {1}
