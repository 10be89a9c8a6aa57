"""Who is cancelled leaves nothing open on the broker, and takes nothing from others."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from eventbus.transport import Topology
from tests.integration.rabbitmq.scene import CHARGE, PATIENCE
from tests.support.eventually import eventually

if TYPE_CHECKING:
    from eventbus.rabbitmq import RabbitMQTransport


def channels(transport: RabbitMQTransport) -> list[Any]:
    """Those of the consuming connection: the driver forgets one when the broker has agreed to its end."""
    connection: Any = transport._consuming._connection
    return [*connection.channels.values()]


async def read(transport: RabbitMQTransport, has_begun: asyncio.Event, enough: asyncio.Event) -> None:
    async with transport.log("first"):
        has_begun.set()
        await enough.wait()


async def test_an_end_of_reading_the_history_that_is_cancelled_is_one_to_the_broker_too(
    transport: RabbitMQTransport,
) -> None:
    await transport.apply(Topology((CHARGE,)))
    async with transport.consume(CHARGE.name, prefetch=1) as consumption:
        for turns in range(16):
            has_begun, enough = asyncio.Event(), asyncio.Event()
            reading = asyncio.create_task(read(transport, has_begun, enough))
            await asyncio.wait_for(has_begun.wait(), PATIENCE)
            enough.set()
            for _ in range(turns):
                await asyncio.sleep(0)
            reading.cancel()
            await asyncio.wait({reading})

            await eventually(lambda: len(channels(transport)) == 1, within=PATIENCE)

        assert consumption.losses == 0


async def test_who_is_cancelled_while_the_history_is_searched_for_a_time_reads_no_more(
    transport: RabbitMQTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eventbus.rabbitmq.log._QUIET", 10 * PATIENCE)
    await transport.apply(Topology((CHARGE,)))
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    beginning = asyncio.create_task(transport.log(tomorrow, until=1).__aenter__())
    await eventually(lambda: any(each.consumers for each in channels(transport)), within=PATIENCE)

    beginning.cancel()
    await asyncio.wait({beginning})

    await eventually(lambda: not channels(transport), within=PATIENCE)
