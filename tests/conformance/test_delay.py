"""What is delayed is kept by the broker, becomes due for everyone it is for, and is never early."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from eventbus.outcome import RetryAfter
from tests.conformance import drive
from tests.conformance.drive import CHARGE, CHARGE_ALONE, CHARGE_AND_NOTIFY, NOTIFY
from tests.conformance.kinds import ACROSS_PROCESSES

if TYPE_CHECKING:
    from eventbus.transport import Consumption, Transport
    from tests.conformance.kinds import TransportFactory

EARLY = 0.01  # seconds that two clocks may differ by; a message that comes at once is far earlier than this
LATE = 5.0  # generous: delays are rounded up to a second, and the machine has other things to do


async def test_a_delayed_message_reaches_every_queue_when_it_is_due(transport: Transport) -> None:
    await transport.apply(CHARGE_AND_NOTIFY)
    delays = [3.0, 1.0, 2.0]
    began = time.monotonic()
    await drive.send(transport, *(drive.a_message(body=str(delay).encode(), delay=delay) for delay in delays))

    for arrivals in await asyncio.gather(*(_arrivals(transport, queue, 3) for queue in (CHARGE, NOTIFY))):
        for body, arrived in arrivals:
            assert float(body) - EARLY <= arrived - began <= float(body) + LATE
        assert [body for body, _ in arrivals] == [b"1.0", b"2.0", b"3.0"]


async def test_a_delay_of_part_of_a_second_is_not_early_either(transport: Transport) -> None:
    await transport.apply(CHARGE_ALONE)
    began = time.monotonic()
    await drive.send(transport, drive.a_message(delay=0.4), drive.a_message(delay=1.3))

    (_, first), (_, second) = await _arrivals(transport, CHARGE, 2)
    assert 0.4 - EARLY <= first - began <= 0.4 + LATE
    assert 1.3 - EARLY <= second - began <= 1.3 + LATE


async def test_a_retry_is_not_early(transport: Transport) -> None:
    await transport.apply(CHARGE_ALONE)
    await drive.send(transport, *drive.some_messages(2))

    async with transport.consume(CHARGE, prefetch=10) as consumption:
        one, two = await drive.take(consumption, 2)
        began = time.monotonic()
        await consumption.settle([(one, RetryAfter(0.3, "no")), (two, RetryAfter(1.2, "no"))])
        (first, first_at), (second, second_at) = await _arrivals_at(consumption, 2)

    assert (first, second) == (one.message.body, two.message.body)
    assert 0.3 - EARLY <= first_at - began <= 0.3 + LATE
    assert 1.2 - EARLY <= second_at - began <= 1.2 + LATE


async def test_others_overtake_what_is_delayed(transport: Transport) -> None:
    await transport.apply(CHARGE_ALONE)
    tomorrow, now = drive.a_message(delay=86_400.0), drive.a_message()
    await drive.send(transport, tomorrow, now)

    assert drive.ids(await drive.contents(transport, CHARGE)) == [now.event_id]


async def test_a_retry_that_waits_does_not_hold_up_the_queue(transport: Transport) -> None:
    await transport.apply(CHARGE_ALONE)
    sent = drive.some_messages(5)
    await drive.send(transport, *sent)

    async with transport.consume(CHARGE, prefetch=1) as consumption:
        await drive.collect(consumption, 1, outcome=RetryAfter(3_600.0, "not for an hour"))
        rest = await drive.collect(consumption, 4)

    assert drive.ids(rest) == drive.ids(sent[1:])


async def test_a_delayed_message_for_one_queue_reaches_only_that_queue(transport: Transport) -> None:
    await transport.apply(CHARGE_AND_NOTIFY)
    sent = drive.a_message(queue=CHARGE, delay=1.0)
    await drive.send(transport, sent)

    async with transport.consume(CHARGE, prefetch=10) as consumption:
        (delivery,) = await drive.collect(consumption, 1)

    assert (delivery.message.event_id, delivery.message.routing_key) == (sent.event_id, sent.routing_key)
    assert await drive.contents(transport, NOTIFY) == []


async def test_a_delayed_message_is_routed_when_it_is_due(transport: Transport) -> None:
    await transport.apply(CHARGE_ALONE)
    sent = drive.a_message(delay=3.0)
    await drive.send(transport, sent)
    await transport.apply(CHARGE_AND_NOTIFY)

    for queue in (CHARGE, NOTIFY):
        async with transport.consume(queue, prefetch=10) as consumption:
            assert drive.ids(await drive.collect(consumption, 1)) == [sent.event_id]


async def test_a_delayed_message_reaches_patterns_as_others_do(transport: Transport) -> None:
    await transport.apply(
        drive.topology(**{"audit.all": ["#"], "audit.orders": ["order.*"], "audit.mail": ["mail.#"]})
    )
    sent = drive.a_message(delay=1.0)
    await drive.send(transport, sent)

    for queue in ("audit.all", "audit.orders"):
        async with transport.consume(queue, prefetch=10) as consumption:
            assert drive.ids(await drive.collect(consumption, 1)) == [sent.event_id]
    assert await drive.contents(transport, "audit.mail") == []


@ACROSS_PROCESSES
async def test_a_delayed_message_needs_nobody_to_wait_for_it(transport_factory: TransportFactory) -> None:
    sent = drive.a_message(delay=1.0)
    async with transport_factory.opened() as sender:
        await sender.apply(CHARGE_ALONE)
        await drive.send(sender, sent)

    async with transport_factory.opened() as receiver, receiver.consume(CHARGE, prefetch=10) as consumption:
        assert drive.ids(await drive.collect(consumption, 1)) == [sent.event_id]


async def _arrivals(transport: Transport, queue: str, count: int) -> list[tuple[bytes, float]]:
    """Bodies, and when each came."""
    async with transport.consume(queue, prefetch=10) as consumption:
        return await _arrivals_at(consumption, count)


async def _arrivals_at(consumption: Consumption, count: int) -> list[tuple[bytes, float]]:
    arrivals: list[tuple[bytes, float]] = []
    while len(arrivals) < count:
        batch = await drive.collect(consumption, 1)
        arrived = time.monotonic()
        arrivals += [(delivery.message.body, arrived) for delivery in batch]
    return arrivals
