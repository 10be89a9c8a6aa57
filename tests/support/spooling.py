"""A publisher with a spool, on a broker that may be away, and what arrives in a queue there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from eventbus.clock import SystemClock
from eventbus.codec import Codec
from eventbus.connecting import connect
from eventbus.errors import BrokerUnreachable
from eventbus.keeping import Spooling
from eventbus.outcome import Ack
from eventbus.publisher import Publisher, Receipt
from eventbus.registry import Registry
from eventbus.settings import Settings
from eventbus.transport import QueueSpec, Topology, Transport

TYPE = "order.created"
QUEUE = QueueSpec("audit.seen", (TYPE,))


class Shop:
    """It publishes, and with every event the order is one of its key."""

    def __init__(self, transport: Transport, publisher: Publisher) -> None:
        self.transport = transport
        self._publisher = publisher

    async def publish(self, event_id: str, *, key: str, timeout: float = 3.0, size: int = 200) -> Receipt:
        data = {"filling": "x" * size}
        return await self._publisher.publish(TYPE, data, event_id=event_id, key=key, timeout=timeout)

    async def arrived(self, until: int, *, within: float = 60.0) -> list[str]:
        """The ids of all events in the queue, in their order, when there are so many different ones."""
        seen: list[str] = []
        async with asyncio.timeout(within), self.transport.consume(QUEUE.name, prefetch=500) as consumption:
            async for batch in consumption:
                seen += [delivery.message.event_id or "" for delivery in batch]
                await consumption.settle([(delivery, Ack()) for delivery in batch])
                if len(set(seen)) >= until:
                    break
        return seen


@asynccontextmanager
async def spooling_to(url: str, path: Path, **settings: Any) -> AsyncIterator[Shop]:
    """Also where no broker answers."""
    said = Settings(url=url, spool=str(path), connect_timeout=2.0, **settings)
    clock = SystemClock()
    transport = connect(said, "shop", clock)
    spooling = Spooling(said, transport, clock)
    await spooling.open()
    try:
        with suppress(BrokerUnreachable):
            await transport.open()
            await transport.apply(Topology((QUEUE,)))
        await spooling.send_on()
        publisher = Publisher(
            transport,
            source="shop",
            codec=Codec(),
            registry=Registry(),
            clock=clock,
            timeout=said.publish_timeout,
            sending=spooling,
        )
        yield Shop(transport, publisher)
    finally:
        await spooling.close()
        await transport.close()


def first_of_each(ids: Sequence[str]) -> list[str]:
    """Without the copies."""
    return list(dict.fromkeys(ids))
