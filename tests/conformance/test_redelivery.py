"""What is not acked comes back, to its own queue only; attempts are counted, redeliveries are not."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

import pytest

from eventbus import headers
from eventbus.outcome import RetryAfter
from tests.conformance import drive, sizes
from tests.conformance.drive import ACK, CHARGE, CHARGE_ALONE, CHARGE_AND_NOTIFY, NOTIFY, ORDER_CREATED
from tests.conformance.kinds import ACROSS_PROCESSES

if TYPE_CHECKING:
    from pathlib import Path

    from eventbus.transport import Transport
    from tests.conformance.kinds import TransportFactory

AT_ONCE = RetryAfter(0.0, "ConnectionError: the gateway is away")


async def test_a_retry_is_the_next_attempt_and_tells_what_went_wrong(transport: Transport) -> None:
    await transport.apply(CHARGE_ALONE)
    sent = replace(drive.a_message(), headers={"traceparent": "00-abc-def-01"})
    await drive.send(transport, sent)

    async with transport.consume(CHARGE, prefetch=10) as consumption:
        (first,) = await drive.collect(consumption, 1, outcome=AT_ONCE)
        (second,) = await drive.collect(consumption, 1, outcome=RetryAfter(0.0, "TimeoutError"))
        (third,) = await drive.collect(consumption, 1)

    assert [delivery.attempt for delivery in (first, second, third)] == [1, 2, 3]
    assert second.message.headers[headers.ATTEMPT] == 2
    assert second.message.headers[headers.ERROR] == AT_ONCE.error
    assert third.message.headers[headers.ERROR] == "TimeoutError"
    first_failure = str(second.message.headers[headers.FIRST_FAILED_AT])
    assert datetime.fromisoformat(first_failure).tzinfo is not None
    assert third.message.headers[headers.FIRST_FAILED_AT] == first_failure
    assert third.message.headers["traceparent"] == "00-abc-def-01"


async def test_a_retry_keeps_all_that_the_message_was(transport: Transport) -> None:
    await transport.apply(CHARGE_ALONE)
    sent = replace(
        drive.a_message(body=b"\x00 as it was"), source="order", correlation_id="flow", content_type="x/y"
    )
    await drive.send(transport, sent)

    async with transport.consume(CHARGE, prefetch=10) as consumption:
        await drive.collect(consumption, 1, outcome=AT_ONCE)
        (again,) = await drive.collect(consumption, 1)

    assert replace(again.message, headers={}, queue=None, delay=0.0) == replace(sent, headers={})
    assert again.queue == CHARGE


async def test_retries_are_not_seen_by_other_queues(transport: Transport) -> None:
    await transport.apply(CHARGE_AND_NOTIFY)
    sent = drive.a_message()
    await drive.send(transport, sent)

    async with transport.consume(CHARGE, prefetch=10) as consumption:
        for _ in range(3):
            await drive.collect(consumption, 1, outcome=AT_ONCE)
        await drive.collect(consumption, 1)

    (seen,) = await drive.contents(transport, NOTIFY)
    assert (seen.message.event_id, seen.attempt) == (sent.event_id, 1)


async def test_what_was_not_settled_comes_back_after_the_consumption_closes(transport: Transport) -> None:
    await transport.apply(CHARGE_ALONE)
    sent = drive.some_messages(5)
    await drive.send(transport, *sent)

    async with transport.consume(CHARGE, prefetch=10) as consumption:
        held = await drive.take(consumption, 5)
        await drive.settle(consumption, held[:2], ACK)
    async with transport.consume(CHARGE, prefetch=10) as consumption:
        again = await drive.collect(consumption, 3)

    assert drive.ids(again) == drive.ids(sent[2:])
    assert {(delivery.redelivered, delivery.attempt) for delivery in again} == {(True, 1)}


async def test_what_a_cancelled_consumer_held_comes_back(transport: Transport) -> None:
    await transport.apply(CHARGE_ALONE)
    sent = drive.a_message()
    await drive.send(transport, sent)
    holding = asyncio.Event()

    async def hold_for_ever() -> None:
        async with transport.consume(CHARGE, prefetch=10) as consumption:
            await drive.take(consumption, 1)
            holding.set()
            await asyncio.Event().wait()

    holder = asyncio.create_task(hold_for_ever())
    await asyncio.wait_for(holding.wait(), sizes.PATIENCE)
    holder.cancel()
    await asyncio.gather(holder, return_exceptions=True)

    async with transport.consume(CHARGE, prefetch=10) as consumption:
        assert drive.ids(await drive.collect(consumption, 1)) == [sent.event_id]


async def test_settling_after_the_consumption_is_left_does_not_raise(transport: Transport) -> None:
    await transport.apply(CHARGE_ALONE)
    sent = drive.some_messages(3)
    await drive.send(transport, *sent)
    async with transport.consume(CHARGE, prefetch=10) as left:
        held = await drive.take(left, 3)
    async with transport.consume(CHARGE, prefetch=10) as consumption:
        again = await drive.take(consumption, 3)

        await drive.settle(left, held[:2], ACK)
        await drive.settle(left, held[2:], AT_ONCE)
        await drive.settle(consumption, again, ACK)

    assert drive.ids(again) == drive.ids(sent)
    # A retry copy may have been made of the last; the others were acked once, by the one that held them.
    assert set(drive.ids(await drive.contents(transport, CHARGE))) <= {sent[2].event_id}


async def test_consuming_goes_on_after_subscribers_that_close_midway(transport: Transport) -> None:
    await transport.apply(CHARGE_ALONE)
    sent = drive.some_messages(sizes.MESSAGES_OVER_CLOSES)
    await drive.send(transport, *sent)

    received: list[str] = []
    while len(received) < len(sent):
        async with transport.consume(CHARGE, prefetch=drive.PREFETCH) as consumption:
            count = min(len(sent) // sizes.BATCHES_BETWEEN_CLOSES, len(sent) - len(received))
            received += drive.ids(await drive.collect(consumption, count))

    assert sorted(received) == sorted(drive.ids(sent))


async def test_consuming_goes_on_after_subscribers_that_fail(transport: Transport) -> None:
    await transport.apply(CHARGE_ALONE)
    sent = drive.some_messages(sizes.MESSAGES_AFTER_FAILURES)
    await drive.send(transport, *sent)

    failures = 0
    for _ in range(sizes.FAILING_SUBSCRIBERS):
        async with transport.consume(CHARGE, prefetch=10) as consumption:
            failures += len(await drive.collect(consumption, sizes.FAILURES_OF_EACH, outcome=AT_ONCE))
    async with transport.consume(CHARGE, prefetch=10) as consumption:
        received = await drive.collect(consumption, len(sent))

    assert sorted(drive.ids(received)) == sorted(drive.ids(sent))
    assert sum(delivery.attempt - 1 for delivery in received) == failures


@ACROSS_PROCESSES
async def test_what_a_killed_worker_held_goes_to_another(
    transport_factory: TransportFactory, transport: Transport, tmp_path: Path
) -> None:
    await transport.apply(CHARGE_ALONE)
    sent = drive.some_messages(5)
    await drive.send(transport, *sent)

    async with transport_factory.process("hold", CHARGE, "5", log=tmp_path / "worker.log") as worker:
        await worker.says("holding 5", within=sizes.PATIENCE)
        await worker.kill()

    async with transport.consume(CHARGE, prefetch=10) as consumption:
        again = await drive.collect(consumption, 5, within=sizes.PATIENCE * 2)
    assert drive.ids(again) == drive.ids(sent)
    assert {(delivery.redelivered, delivery.attempt) for delivery in again} == {(True, 1)}


@ACROSS_PROCESSES
async def test_a_consumer_that_waits_gets_what_a_killed_worker_held(
    transport_factory: TransportFactory, transport: Transport, tmp_path: Path
) -> None:
    await transport.apply(CHARGE_ALONE)
    sent = drive.a_message(ORDER_CREATED)
    await drive.send(transport, sent)

    async with transport_factory.process("hold", CHARGE, "1", log=tmp_path / "worker.log") as worker:
        await worker.says("holding 1", within=sizes.PATIENCE)
        async with transport.consume(CHARGE, prefetch=10) as consumption:
            await worker.kill()
            again = await drive.collect(consumption, 1, within=sizes.PATIENCE * 2)

    assert drive.ids(again) == [sent.event_id]


@pytest.mark.parametrize("transport_factory", ["rabbitmq"], indirect=True)
async def test_settling_after_the_loss_of_the_connection_does_not_raise(
    transport_factory: TransportFactory, transport: Transport
) -> None:
    await transport.apply(CHARGE_ALONE)
    sent = drive.some_messages(3)
    await drive.send(transport, *sent)

    async with transport.consume(CHARGE, prefetch=10) as consumption:
        held = await drive.take(consumption, 3)
        await transport_factory.cut()
        await drive.settle(consumption, held, ACK)
        again = await drive.collect(consumption, 3)

    assert drive.ids(again) == drive.ids(sent)
    assert await drive.contents(transport, CHARGE) == []
    assert consumption.losses > 0


async def test_a_consumption_that_lost_nothing_knows_it_when_it_is_left(transport: Transport) -> None:
    await transport.apply(CHARGE_ALONE)
    await drive.send(transport, *drive.some_messages(3))

    async with transport.consume(CHARGE, prefetch=10) as consumption:
        await drive.settle(consumption, (await drive.take(consumption, 3))[:2], ACK)

    assert consumption.losses == 0
