"""Sharing a queue, and how much of it is handed over at one time."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

from eventbus.outcome import Ack, DeadLetter, Reason, RetryAfter
from tests.conformance import drive, sizes
from tests.conformance.drive import ACK, CHARGE, CHARGE_ALONE
from tests.support.eventually import eventually

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractAsyncContextManager

    from eventbus.transport import Consumption, Delivery, Transport


async def test_subscribers_of_one_queue_share_it_and_each_message_comes_once(transport: Transport) -> None:
    await transport.apply(CHARGE_ALONE)
    sent = drive.some_messages(sizes.MESSAGES_FOR_THEM)
    received: list[Delivery] = []
    async with AsyncExitStack() as stack:
        consuming = [
            asyncio.create_task(_ack_into(received, await stack.enter_async_context(_consume(transport))))
            for _ in range(sizes.SUBSCRIBERS_OF_ONE_QUEUE)
        ]
        await drive.send(transport, *sent)
        await eventually(lambda: len(received) >= len(sent), within=sizes.PATIENCE)
        await _end(consuming)

    assert sorted(drive.ids(received)) == sorted(drive.ids(sent))
    assert await drive.contents(transport, CHARGE) == []


async def test_no_more_than_prefetch_are_handed_over_and_not_settled(transport: Transport) -> None:
    await transport.apply(CHARGE_ALONE)
    await drive.send(transport, *drive.some_messages(20))

    async with transport.consume(CHARGE, prefetch=5) as consumption:
        held = await drive.take(consumption, 5)
        assert len(held) == 5
        assert await _comes_nothing(consumption)

        await drive.settle(consumption, held[:2], ACK)
        more = await drive.take(consumption, 2)
        assert len(more) == 2
        assert await _comes_nothing(consumption)


async def test_a_prefetch_of_one_hands_over_one_after_another(transport: Transport) -> None:
    await transport.apply(CHARGE_ALONE)
    sent = drive.some_messages(5)
    await drive.send(transport, *sent)

    async with transport.consume(CHARGE, prefetch=1) as consumption:
        for message in sent:
            (delivery,) = await drive.collect(consumption, 1)
            assert delivery.message.event_id == message.event_id


async def test_deliveries_are_settled_in_any_order(transport: Transport) -> None:
    await transport.apply(CHARGE_ALONE)
    await drive.send(transport, *drive.some_messages(10))

    async with transport.consume(CHARGE, prefetch=10) as consumption:
        held = await drive.take(consumption, 10)
        await drive.settle(consumption, [held[9], held[0], held[5]], ACK)
        await drive.settle(consumption, [held[4]], ACK)
        await asyncio.gather(*(drive.settle(consumption, [held[n]], ACK) for n in (8, 1, 7, 2, 6, 3)))

    assert await drive.contents(transport, CHARGE) == []


async def test_outcomes_of_every_kind_are_settled_together(transport: Transport) -> None:
    await transport.apply(CHARGE_ALONE)
    await drive.send(transport, *drive.some_messages(3))

    async with transport.consume(CHARGE, prefetch=10) as consumption:
        done, again, given_up = await drive.take(consumption, 3)
        await consumption.settle(
            [(given_up, DeadLetter(Reason.REJECTED, "no")), (done, Ack()), (again, RetryAfter(0.0, "later"))]
        )
        (retried,) = await drive.collect(consumption, 1)

    assert retried.message.event_id == again.message.event_id
    assert drive.ids(await transport.dead_letters(CHARGE, limit=10)) == [given_up.message.event_id]
    assert await drive.contents(transport, CHARGE) == []


async def test_settling_twice_is_harmless(transport: Transport) -> None:
    await transport.apply(CHARGE_ALONE)
    await drive.send(transport, *drive.some_messages(3))

    async with transport.consume(CHARGE, prefetch=1) as consumption:
        first = await drive.collect(consumption, 1)
        await drive.settle(consumption, first, ACK)
        rest = await drive.collect(consumption, 2)

    assert [delivery.message.body for delivery in [*first, *rest]] == [b"0", b"1", b"2"]


async def test_after_stop_nothing_more_is_taken_and_what_is_held_can_be_settled(transport: Transport) -> None:
    await transport.apply(CHARGE_ALONE)
    await drive.send(transport, *drive.some_messages(10))

    async with transport.consume(CHARGE, prefetch=3) as consumption:
        held = await drive.take(consumption, 3)
        await consumption.stop()
        await drive.settle(consumption, held, ACK)
        assert [batch async for batch in consumption] == []

    rest = await _all_of(transport, 7)
    assert sorted(drive.ids(rest) + drive.ids(held)) == sorted(set(drive.ids(rest) + drive.ids(held)))


async def test_stop_ends_an_iteration_that_waits(transport: Transport) -> None:
    await transport.apply(CHARGE_ALONE)
    async with transport.consume(CHARGE, prefetch=3) as consumption:
        waiting = asyncio.create_task(drive.take(consumption, 1))
        await asyncio.sleep(0)
        await consumption.stop()
        (ended,) = await asyncio.wait_for(asyncio.gather(waiting, return_exceptions=True), 5.0)

    assert "ended after 0 of 1" in str(ended)


async def test_a_cancelled_iteration_loses_nothing(transport: Transport) -> None:
    await transport.apply(CHARGE_ALONE)
    sent = drive.some_messages(30)
    received: list[Delivery] = []
    async with transport.consume(CHARGE, prefetch=drive.PREFETCH) as consumption:
        for n, message in enumerate(sent):
            reading = asyncio.create_task(_take_into(received, consumption))
            await drive.send(transport, message)
            await asyncio.sleep(n * 0.0005)  # so that each is cancelled at another point of its work
            await _end([reading])
        received += await drive.take(consumption, len(sent) - len(received))

    assert drive.ids(received) == drive.ids(sent)


def _consume(transport: Transport) -> AbstractAsyncContextManager[Consumption]:
    return transport.consume(CHARGE, prefetch=10)


async def _ack_into(received: list[Delivery], consumption: Consumption) -> None:
    async for batch in consumption:
        received += batch
        await drive.settle(consumption, batch, ACK)


async def _take_into(received: list[Delivery], consumption: Consumption) -> None:
    async for batch in consumption:
        received += batch


async def _comes_nothing(consumption: Consumption) -> bool:
    """Absence takes time to see: half a second, in which these transports hand over thousands."""
    waiting = asyncio.create_task(drive.take(consumption, 1))
    done, _ = await asyncio.wait([waiting], timeout=0.5)
    await _end([waiting])
    return not done


async def _end(tasks: Sequence[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _all_of(transport: Transport, count: int) -> list[Delivery]:
    async with transport.consume(CHARGE, prefetch=drive.PREFETCH) as consumption:
        received = await drive.collect(consumption, count)
    assert await drive.contents(transport, CHARGE) == []
    return received
