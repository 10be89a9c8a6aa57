from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from eventbus.embedded import EmbeddedOptions, EmbeddedTransport
from eventbus.errors import ConfigurationError
from eventbus.outcome import Ack, DeadLetter, Reason, RetryAfter
from eventbus.transport import Consumption, Delivery
from tests.support.eventually import eventually
from tests.unit.embedded.conftest import OpenTransport
from tests.unit.embedded.words import (
    CHARGE,
    NOTIFY,
    ORDERS,
    ORDERS_FOR_TWO,
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


@pytest.mark.parametrize("how", ["stop", "leave"])
async def test_what_was_claimed_and_not_handed_over_was_never_delivered(
    open_transport: OpenTransport, how: str
):
    transport = await open_transport()
    await transport.apply(ORDERS)
    await send(transport, *orders(3))
    async with transport.consume(CHARGE, prefetch=10) as consumption:
        waiting = asyncio.ensure_future(anext(aiter(consumption)))
        await asyncio.sleep(0)  # by now it claims
        waiting.cancel()
        await asyncio.wait({waiting})
        if how == "stop":
            await consumption.stop()

    async with transport.consume(CHARGE, prefetch=10) as another:
        assert [delivery.redelivered for delivery in await take(another, 3)] == [False] * 3


async def test_whoever_gives_up_while_entering_leaves_no_consumer_behind(open_transport: OpenTransport):
    transport = await open_transport(options=HASTY)
    await transport.apply(ORDERS)
    entering = asyncio.ensure_future(transport.consume(CHARGE, prefetch=1).__aenter__())
    await asyncio.sleep(0)
    entering.cancel()
    await asyncio.wait({entering})

    async def nobody_consumes() -> bool:
        return (await stats_of(transport, CHARGE)).consumers == 0

    await eventually(nobody_consumes)


async def lose(transport: EmbeddedTransport, queue: str, count: int, *, times: int) -> None:
    """Hand over `count` deliveries and settle none, again and again."""
    for _ in range(times):
        async with transport.consume(queue, prefetch=count) as consumption:
            await take(consumption, count)


async def test_what_was_lost_again_and_again_is_handed_over_one_at_a_time(open_transport: OpenTransport):
    transport = await open_transport(options=EmbeddedOptions(careful_after=3))
    await transport.apply(ORDERS_FOR_TWO)
    await send(transport, *orders(3))
    await lose(transport, CHARGE, 3, times=3)
    await lose(transport, NOTIFY, 3, times=3)
    await send(transport, order(b"young"))

    async with (
        transport.consume(CHARGE, prefetch=10) as charging,
        transport.consume(NOTIFY, prefetch=10) as notifying,
    ):
        charges = await take(charging, 2)
        notified = await take(notifying, 1)
        assert bodies(charges) == [b"0", b"young"]
        assert bodies(notified) == [b"young"]  # those of all queues take turns in one process

        await settle(charging, charges, Ack())
        charges, notices = await next_of_either(charging, notifying)
        assert bodies([*charges, *notices]) in ([b"1"], [b"0"])
        await settle(charging, charges, Ack())
        await settle(notifying, notices, Ack())


async def next_of_either(
    first: Consumption, second: Consumption
) -> tuple[Sequence[Delivery], Sequence[Delivery]]:
    """What comes next from one of them; there is nothing more after it for now."""
    waiting = [asyncio.ensure_future(next_batch(each)) for each in (first, second)]
    done, pending = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED, timeout=5)
    await asyncio.wait(pending, timeout=0.1)
    for late in pending:
        late.cancel()
    await asyncio.wait(waiting)
    results = [() if each.cancelled() else each.result() for each in waiting]
    assert done
    return results[0], results[1]


async def test_dead_letters_come_together_however_often_they_were_looked_at(open_transport: OpenTransport):
    transport = await open_transport(options=EmbeddedOptions(careful_after=1))
    await transport.apply(ORDERS)
    await send(transport, *orders(3))
    async with transport.consume(CHARGE, prefetch=3) as consumption:
        await settle(consumption, await take(consumption, 3), DeadLetter(Reason.REJECTED, "no"))
    await lose(transport, f"{CHARGE}.dead", 3, times=5)

    async with transport.consume(f"{CHARGE}.dead", prefetch=3) as consumption:
        assert bodies(await next_batch(consumption)) == [b"0", b"1", b"2"]


def test_a_session_that_expires_between_its_heartbeats_is_refused():
    with pytest.raises(ConfigurationError, match="let it live for two heartbeats"):
        EmbeddedOptions(heartbeat=1.0, session_expiry=1.0)


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
