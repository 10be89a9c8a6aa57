"""How a subscription is doing."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from eventbus.outcome import DeadLetter, Reason
from tests.conformance import drive, sizes
from tests.conformance.drive import ACK, CHARGE, CHARGE_ALONE, CHARGE_AND_NOTIFY, NOTIFY
from tests.support.eventually import eventually

if TYPE_CHECKING:
    from eventbus.transport import QueueStats, Transport


async def test_an_empty_queue_has_nothing_and_nobody(transport: Transport) -> None:
    await transport.apply(CHARGE_ALONE)

    stats = await drive.stats_of(transport, CHARGE)

    assert (stats.queue, stats.ready, stats.dead, stats.consumers) == (CHARGE, 0, 0, 0)
    assert stats.oldest_age is None
    assert not stats.in_flight
    assert not stats.delayed


async def test_ready_counts_what_waits_and_dead_what_was_given_up(transport: Transport) -> None:
    await transport.apply(CHARGE_ALONE)
    await drive.send(transport, *drive.some_messages(10))
    await _reaches(transport, ready=10, dead=0)

    async with transport.consume(CHARGE, prefetch=1) as consumption:
        for _ in range(3):
            await drive.collect(consumption, 1, outcome=DeadLetter(Reason.REJECTED, "no"))
        await drive.collect(consumption, 2)
    await _reaches(transport, ready=5, dead=3)


async def test_consumers_are_counted_while_they_consume(transport: Transport) -> None:
    await transport.apply(CHARGE_ALONE)
    async with transport.consume(CHARGE, prefetch=1):
        await _reaches(transport, consumers=1)
        async with transport.consume(CHARGE, prefetch=1):
            await _reaches(transport, consumers=2)
        await _reaches(transport, consumers=1)
    await _reaches(transport, consumers=0)


async def test_what_is_handed_over_is_not_ready(transport: Transport) -> None:
    await transport.apply(CHARGE_ALONE)
    await drive.send(transport, *drive.some_messages(10))

    async with transport.consume(CHARGE, prefetch=4) as consumption:
        held = await drive.take(consumption, 4)
        await _reaches(transport, ready=6)

        async def is_in_flight() -> bool:  # RabbitMQ counts it every five seconds
            return (await drive.stats_of(transport, CHARGE)).in_flight in (None, 4)

        await eventually(is_in_flight, within=sizes.PATIENCE)
        await drive.settle(consumption, held, ACK)


async def test_the_oldest_age_grows_while_nobody_consumes(transport: Transport) -> None:
    await transport.apply(CHARGE_ALONE)
    await drive.send(transport, drive.a_message())
    await asyncio.sleep(0.2)  # to have an age at all

    stats = await _reaches(transport, ready=1)

    assert stats.oldest_age is None or 0.1 <= stats.oldest_age <= 60


async def test_statistics_come_for_the_queues_asked_in_that_order(transport: Transport) -> None:
    await transport.apply(CHARGE_AND_NOTIFY)

    assert [stats.queue for stats in await transport.stats([NOTIFY, CHARGE])] == [NOTIFY, CHARGE]
    assert list(await transport.stats([])) == []


async def _reaches(transport: Transport, **expected: int) -> QueueStats:
    async def reached() -> QueueStats:
        stats = await drive.stats_of(transport, CHARGE)
        assert {name: getattr(stats, name) for name in expected} == expected
        return stats

    return await eventually(reached, within=sizes.PATIENCE)
