"""What retention removes from the history while it is read."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import TYPE_CHECKING

from eventbus.transport import Topology
from tests.integration.rabbitmq.scene import PATIENCE, an_event, close_connections, send
from tests.support.eventually import eventually

if TYPE_CHECKING:
    from eventbus.transport import LogEntry
    from tests.integration.rabbitmq.conftest import OpenTransport
    from tests.support.broker import Broker


async def test_what_was_removed_before_it_was_read_is_told_and_nothing_else_is(
    opened: OpenTransport, rabbitmq: Broker, vhost: str
) -> None:
    filling = b"x" * 10_000
    async with opened(log_max_bytes=1_000_000, log_prefetch=10) as transport:
        await transport.apply(Topology(()))
        await send(transport, *(an_event(number) for number in range(20)))
        async with transport.log("first") as batches:
            entries: list[LogEntry] = [*await anext(batches)]
            while (await transport.log_bounds()).first < 100:
                await send(transport, *(an_event(number, body=filling) for number in range(50)))
            await send(transport, an_event(7_000))
            await eventually(
                lambda: asyncio.to_thread(close_connections, rabbitmq, vhost, "consuming"), within=PATIENCE
            )
            async with asyncio.timeout(PATIENCE):
                async for batch in batches:
                    entries += batch
                    if entries[-1].message.event_id == "evt_7000":
                        break

    gaps = [(before, after) for before, after in pairwise(entries) if after.missing]
    ((before, after),) = gaps
    assert before.offset < after.offset - after.missing
    assert after.missing > 50
