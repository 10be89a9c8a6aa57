from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from eventbus.embedded import EmbeddedTransport
from eventbus.outcome import Ack, DeadLetter, Reason, RetryAfter
from eventbus.transport import QueueSpec, Topology
from tests.unit.embedded.conftest import OpenTransport
from tests.unit.embedded.words import (
    CHARGE,
    NOTIFY,
    ORDERS,
    ORDERS_FOR_TWO,
    ManualClock,
    bodies,
    handling,
    history,
    next_batch,
    order,
    orders,
    send,
    settle,
    stats_of,
    take,
)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


async def idle(transport: EmbeddedTransport) -> None:
    await asyncio.wait_for(transport.idle(), 5)


async def test_a_delayed_event_waits_for_the_clock_and_not_for_time(
    open_transport: OpenTransport, clock: ManualClock
):
    transport = await open_transport(clock=clock)
    await transport.apply(ORDERS)
    async with handling(transport, CHARGE) as handled:
        await send(transport, order(b"reminder", delay=86_400))

        clock.advance(86_399.999)
        transport.wake()
        await idle(transport)
        assert handled == []

        clock.advance(0.001)
        transport.wake()
        await idle(transport)
        assert handled == [b"reminder"]


async def test_a_retry_waits_for_the_clock(open_transport: OpenTransport, clock: ManualClock):
    transport = await open_transport(clock=clock)
    await transport.apply(ORDERS)
    await send(transport, order(b"declined"))
    async with transport.consume(CHARGE, prefetch=1) as consumption:
        await settle(consumption, await next_batch(consumption), RetryAfter(2.0, "declined"))
        clock.advance(2)
        transport.wake()

        (again,) = await next_batch(consumption)

    assert (again.message.body, again.attempt, again.redelivered) == (b"declined", 2, False)


async def test_what_is_due_comes_without_a_call_too(open_transport: OpenTransport, clock: ManualClock):
    transport = await open_transport(clock=clock)
    await transport.apply(ORDERS)
    await send(transport, order(b"reminder", delay=60))
    async with transport.consume(CHARGE, prefetch=1) as consumption:
        clock.advance(60)

        assert bodies(await next_batch(consumption)) == [b"reminder"]


async def test_events_that_become_due_together_come_in_the_order_of_their_times(
    open_transport: OpenTransport, clock: ManualClock
):
    transport = await open_transport(clock=clock)
    await transport.apply(ORDERS)
    await send(transport, order(b"3", delay=30), order(b"1", delay=10), order(b"2", delay=20))
    async with handling(transport, CHARGE) as handled:
        clock.advance(60)
        transport.wake()
        await idle(transport)

    assert handled == [b"1", b"2", b"3"]


async def test_thousands_that_become_due_at_once_all_come(open_transport: OpenTransport, clock: ManualClock):
    transport = await open_transport(clock=clock)
    await transport.apply(ORDERS)
    await send(transport, *(order(b"%d" % number, delay=5) for number in range(1_700)))
    async with handling(transport, CHARGE) as handled:
        clock.advance(5)
        transport.wake()
        await idle(transport)

    assert handled == [b"%d" % number for number in range(1_700)]


async def test_a_delayed_event_is_logged_at_the_time_it_is_due(
    open_transport: OpenTransport, clock: ManualClock
):
    transport = await open_transport(clock=clock)
    await send(transport, order(b"later", delay=10), order(b"now"))
    clock.advance(10)
    transport.wake()

    now, later = await history(transport, 2)

    assert bodies([now, later]) == [b"now", b"later"]
    assert later.logged_at == clock.now()
    assert now.logged_at == clock.now() - timedelta(seconds=10)


async def test_the_next_due_time_is_that_of_the_earliest_delay_or_retry(
    open_transport: OpenTransport, clock: ManualClock
):
    transport = await open_transport(clock=clock)
    await transport.apply(ORDERS)
    assert await transport.next_due() is None

    await send(transport, order(delay=30), order(delay=20, queue=CHARGE), order(b"now"))
    assert await transport.next_due() == clock.now() + timedelta(seconds=20)

    async with transport.consume(CHARGE, prefetch=1) as consumption:
        await settle(consumption, await next_batch(consumption), RetryAfter(1.5, "declined"))
    assert await transport.next_due() == clock.now() + timedelta(seconds=1.5)


async def test_idle_returns_at_once_when_there_is_nothing_to_do(open_transport: OpenTransport):
    transport = await open_transport()
    await transport.apply(ORDERS_FOR_TWO)

    async with handling(transport, CHARGE):
        await idle(transport)


async def test_idle_waits_for_what_is_in_flight(open_transport: OpenTransport):
    transport = await open_transport()
    await transport.apply(ORDERS)
    await send(transport, *orders(2))
    async with transport.consume(CHARGE, prefetch=5) as consumption:
        first, second = await take(consumption, 2)
        waiting = asyncio.create_task(transport.idle())

        await settle(consumption, [first], Ack())
        await history(transport, 1)  # by now it has looked again
        assert not waiting.done()

        await settle(consumption, [second], DeadLetter(Reason.REJECTED, "no"))
        await asyncio.wait_for(waiting, 5)


async def test_idle_waits_for_what_handlers_publish(open_transport: OpenTransport):
    transport = await open_transport()
    await transport.apply(Topology((QueueSpec(CHARGE, ("order.*",)), QueueSpec(NOTIFY, ("order.*",)))))
    async with handling(transport, NOTIFY) as notified, transport.consume(CHARGE, prefetch=1) as consumption:
        await send(transport, order(b"caused"))
        (delivery,) = await next_batch(consumption)
        waiting = asyncio.create_task(transport.idle())
        await send(transport, order(b"effect", queue=NOTIFY))
        await settle(consumption, [delivery], Ack())
        await asyncio.wait_for(waiting, 5)

        assert notified == [b"caused", b"effect"]


async def test_idle_does_not_wait_for_queues_that_nobody_here_consumes(open_transport: OpenTransport):
    transport = await open_transport()
    await transport.apply(ORDERS_FOR_TWO)
    async with handling(transport, CHARGE) as handled:
        await send(transport, order(b"paid"))
        await idle(transport)

    assert handled == [b"paid"]
    assert (await stats_of(transport, NOTIFY)).ready == 1


async def test_idle_does_not_wait_for_what_is_not_due(open_transport: OpenTransport, clock: ManualClock):
    transport = await open_transport(clock=clock)
    await transport.apply(ORDERS)
    async with handling(transport, CHARGE):
        await send(transport, order(delay=0.000_001))

        await idle(transport)

    assert await transport.next_due() is not None


async def test_a_jump_of_the_clock_ends_no_lease(open_transport: OpenTransport, clock: ManualClock):
    transport = await open_transport(clock=clock)
    await transport.apply(ORDERS)
    await send(transport, order())
    async with transport.consume(CHARGE, prefetch=1) as consumption:
        held = await next_batch(consumption)
        clock.advance(1_000_000)
        transport.wake()
        await idle_for_a_heartbeat(transport)

        assert (await stats_of(transport, CHARGE)).in_flight == 1
        await settle(consumption, held, Ack())

    assert (await stats_of(transport, CHARGE)).ready == 0


async def idle_for_a_heartbeat(transport: EmbeddedTransport) -> None:
    """The others look after the dead with their heartbeat: do it now."""
    engine = transport._open_engine
    await engine.run(engine.session.bury_the_dead)
