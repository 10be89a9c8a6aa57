from __future__ import annotations

import asyncio
import time
from pathlib import Path

from eventbus.embedded import EmbeddedOptions, EmbeddedTransport
from eventbus.outcome import Ack, RetryAfter
from tests.support.eventually import eventually
from tests.unit.embedded.conftest import OpenTransport
from tests.unit.embedded.words import (
    CHARGE,
    ORDERS,
    bodies,
    handling,
    next_batch,
    order,
    orders,
    send,
    settle,
    stats_of,
    take,
)

HASTY = EmbeddedOptions(heartbeat=0.05, session_expiry=0.5)


async def test_a_message_handed_over_too_often_becomes_a_dead_letter(open_transport: OpenTransport):
    transport = await open_transport(options=EmbeddedOptions(delivery_limit=20))
    await transport.apply(ORDERS)
    await send(transport, order(b"poison"))

    for handover in range(21):
        async with transport.consume(CHARGE, prefetch=1) as consumption:
            (delivery,) = await next_batch(consumption)
            assert (delivery.attempt, delivery.redelivered) == (1, handover > 0)

    stats = await stats_of(transport, CHARGE)
    assert (stats.ready, stats.dead) == (0, 1)
    (dead,) = await transport.dead_letters(CHARGE, limit=10)
    assert (dead.message.body, dead.reason, dead.attempts) == (b"poison", "delivery-limit", 1)
    assert "handed over 21 times" in dead.error
    assert dead.died_at is not None


async def test_a_retry_begins_counting_hand_overs_anew(open_transport: OpenTransport):
    transport = await open_transport(options=EmbeddedOptions(delivery_limit=2))
    await transport.apply(ORDERS)
    await send(transport, order())

    for attempt in range(1, 6):
        async with transport.consume(CHARGE, prefetch=1) as consumption:
            await next_batch(consumption)
        async with transport.consume(CHARGE, prefetch=1) as consumption:
            (delivery,) = await next_batch(consumption)
            assert (delivery.attempt, delivery.redelivered) == (attempt, True)
            await settle(consumption, [delivery], RetryAfter(0, "try again"))

    assert (await stats_of(transport, CHARGE)).dead == 0


async def test_dead_letters_are_handed_over_as_often_as_anybody_looks(open_transport: OpenTransport):
    transport = await open_transport(options=EmbeddedOptions(delivery_limit=1))
    await transport.apply(ORDERS)
    await send(transport, order(b"poison"))
    for _ in range(2):
        async with transport.consume(CHARGE, prefetch=1) as consumption:
            await next_batch(consumption)

    for _ in range(5):
        async with transport.consume(f"{CHARGE}.dead", prefetch=1) as consumption:
            assert bodies(await next_batch(consumption)) == [b"poison"]

    assert (await stats_of(transport, CHARGE)).dead == 1


async def test_what_was_claimed_and_not_handed_over_was_never_delivered(open_transport: OpenTransport):
    transport = await open_transport()
    await transport.apply(ORDERS)
    async with transport.consume(CHARGE, prefetch=10) as consumption:
        waiting = asyncio.ensure_future(anext(aiter(consumption)))
        await asyncio.sleep(0)
        await asyncio.gather(send(transport, *orders(3)), consumption.stop())
        handed_over = bodies(await waiting) if not await ended(waiting) else []

        async with transport.consume(CHARGE, prefetch=10) as another:
            rest = await take(another, 3 - len(handed_over)) if len(handed_over) < 3 else []

    assert [delivery.redelivered for delivery in rest] == [False] * len(rest)


async def ended(waiting: asyncio.Future[object]) -> bool:
    await asyncio.wait({waiting}, timeout=5)
    return isinstance(waiting.exception(), StopAsyncIteration)


async def expire(transport: EmbeddedTransport) -> None:
    """As another process does it that has not heard from this one for too long."""
    engine = transport._open_engine
    await engine.run(lambda transaction: engine.session._remove(transaction, engine.session._id))


async def test_a_process_taken_for_dead_begins_anew(open_transport: OpenTransport):
    transport = await open_transport(options=HASTY)
    await transport.apply(ORDERS)
    async with handling(transport, CHARGE) as handled:
        await expire(transport)
        await send(transport, order(b"later"))

        await eventually(lambda: handled == [b"later"])
        assert (await stats_of(transport, CHARGE)).consumers == 1


async def test_a_consumer_that_waits_comes_back_with_the_next_heartbeat(open_transport: OpenTransport):
    transport = await open_transport(options=HASTY)
    await transport.apply(ORDERS)
    async with handling(transport, CHARGE):
        await expire(transport)

        async def consumers() -> bool:
            return (await stats_of(transport, CHARGE)).consumers == 1

        await eventually(consumers)


async def test_settling_what_has_gone_to_another_does_nothing(open_transport: OpenTransport):
    transport = await open_transport(options=HASTY)
    await transport.apply(ORDERS)
    await send(transport, *orders(2))
    async with transport.consume(CHARGE, prefetch=2) as slow:
        acked, retried = await take(slow, 2)
        await expire(transport)
        async with transport.consume(CHARGE, prefetch=2) as another:
            deliveries = await take(another, 2)
            await settle(slow, [acked], Ack())
            await settle(slow, [retried], RetryAfter(0, "too late"))

            assert bodies(deliveries) == [b"0", b"1"]
            assert [delivery.redelivered for delivery in deliveries] == [True, True]
            assert (await stats_of(transport, CHARGE)).in_flight == 2
            await settle(another, deliveries, Ack())

    assert (await stats_of(transport, CHARGE)).ready == 0


async def test_a_handler_that_holds_up_the_event_loop_keeps_its_leases(
    path: Path, open_transport: OpenTransport
):
    busy = await open_transport(path, HASTY)
    await busy.apply(ORDERS)
    await send(busy, order())
    watching = await open_transport(path, HASTY)
    async with busy.consume(CHARGE, prefetch=1) as consumption:
        held = await next_batch(consumption)
        time.sleep(1.5)  # noqa: ASYNC251  what a handler must not do, and does

        assert (await stats_of(watching, CHARGE)).in_flight == 1
        await settle(consumption, held, Ack())

    assert (await stats_of(watching, CHARGE)).ready == 0
