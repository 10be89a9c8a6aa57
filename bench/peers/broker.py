"""The broker's side of a run: a fresh queue, what lies in it, and whether the broker has come to rest."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pika
from pika.adapters.blocking_connection import BlockingChannel

from bench.peers.job import EVENT_TYPE, EXCHANGE, QUEUE, queue_names
from bench.peers.meter import TICK
from bench.peers.pour import pour, publish_frames
from eventbus import Bus
from eventbus.transport import QueueSpec, Topology

LOG = "events.log"
"""The history stream of the namespace."""
MOST_SUBSCRIPTIONS = 30
WITHIN = 90.0
"""Seconds for a queue to have what it should."""
AT_REST = 0.2
"""Of a core: what a broker that has nothing to do takes at most."""


class BenchBroker:
    """One virtual host, in which the runs take place one after another."""

    def __init__(self, url: str, groups: Sequence[int] = ()) -> None:
        """`groups`: the process groups of the broker, where it runs here."""
        self.url = url
        self._groups = frozenset(groups)

    def make_fresh(self, subscriptions: int = 1, *, history: bool = False, bindings: int = 1) -> None:
        """Delete the queues of the run before; declare those of this one, each bound by one pattern.

        `history`: whether the stream of the namespace gets every event too. `bindings`: of the first queue,
        all but one to event types that nobody publishes.
        """
        names = queue_names(MOST_SUBSCRIPTIONS)
        with self._channel() as channel:
            for name in (*names, *(f"{name}.dead" for name in names), f"{QUEUE}.DQ"):
                channel.queue_delete(name)
        asyncio.run(self._declare(subscriptions))
        with self._channel() as channel:
            if not history:
                channel.queue_unbind(LOG, EXCHANGE, "#")
            for number in range(1, bindings):
                channel.queue_bind(QUEUE, EXCHANGE, f"bench.other_{number}")

    def sample(self) -> bytes:
        """A message that lies in the queue, taken out, as the frames that publish its like."""
        deadline = time.monotonic() + WITHIN
        with self._channel() as channel:
            while time.monotonic() < deadline:
                method, properties, body = channel.basic_get(QUEUE, auto_ack=True)
                if method is not None and properties is not None and body is not None:
                    return publish_frames(method.exchange, method.routing_key, properties, body)
                time.sleep(0.01)
        raise RuntimeError(f"no message came to {QUEUE}")

    def fill(self, message: bytes, count: int, subscriptions: int = 1) -> None:
        """Returns when each queue holds `count` of them."""

        def wait_until_there() -> None:
            for name in queue_names(subscriptions):
                self.wait_for_depth(count, name)

        pour(self.url, count, message, wait_until_there)

    def wait_for_depth(self, count: int, queue: str = QUEUE) -> None:
        """Raises `RuntimeError` when it does not come to exactly that."""
        deadline = time.monotonic() + WITHIN
        while (depth := self.depth(queue)) != count:
            if depth > count or time.monotonic() > deadline:
                raise RuntimeError(f"{queue} holds {depth} messages and should hold {count}")
            time.sleep(0.05)

    def depth(self, queue: str = QUEUE) -> int:
        """What is ready in it."""
        with self._channel() as channel:
            return int(channel.queue_declare(queue, passive=True).method.message_count)

    def wait_until_idle(self) -> None:
        """Until its processes take next to no CPU time; where they cannot be seen, for a second."""
        if not self._groups:
            time.sleep(1.0)
            return
        deadline = time.monotonic() + 15.0
        while time.monotonic() < deadline:
            before = self.cpu_seconds()
            time.sleep(0.25)
            if self.cpu_seconds() - before < AT_REST * 0.25:
                return

    def cpu_seconds(self) -> float:
        """Of the broker, since its start; 0 where its processes cannot be seen."""
        return sum(_cpu_of_groups(self._groups))

    async def _declare(self, subscriptions: int) -> None:
        specs = tuple(QueueSpec(name, (EVENT_TYPE,)) for name in queue_names(subscriptions))
        async with self._bus() as bus:
            await bus.transport.apply(Topology(specs))

    @asynccontextmanager
    async def _bus(self) -> AsyncGenerator[Bus]:
        async with Bus(self.url, source="bench", store="memory://", declare=False) as bus:
            yield bus

    @contextmanager
    def _channel(self) -> Generator[BlockingChannel]:
        connection = pika.BlockingConnection(pika.URLParameters(self.url))
        try:
            yield connection.channel()
        finally:
            connection.close()


def _cpu_of_groups(groups: frozenset[int]) -> list[float]:
    """proc(5): the fields after the name are the state, the parent, the group; user and system time later."""
    found: list[float] = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) in groups:
            found.append((int(fields[11]) + int(fields[12])) / TICK)
    return found
