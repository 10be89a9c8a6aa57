from __future__ import annotations

import sqlite3
from datetime import timedelta

import pytest

from eventbus.embedded import EmbeddedOptions, EmbeddedTransport
from eventbus.outcome import Ack, DeadLetter, Reason
from tests.support.eventually import eventually
from tests.unit.embedded.conftest import OpenTransport
from tests.unit.embedded.words import (
    CHARGE,
    ORDERS,
    ManualClock,
    bodies,
    history,
    next_batch,
    order,
    orders,
    send,
    settle,
    take,
)

OFTEN = EmbeddedOptions(heartbeat=0.02)
A_DAY = 86_400


async def logged(transport: EmbeddedTransport) -> int:
    return await transport._open_engine.read(
        lambda connection: connection.execute("SELECT count(*) FROM eventbus_log").fetchone()[0]
    )


async def test_history_goes_when_it_is_too_old(open_transport: OpenTransport):
    clock = ManualClock()
    transport = await open_transport(options=OFTEN, clock=clock)
    await send(transport, *orders(1_234))
    clock.advance(6 * A_DAY)
    await send(transport, order(b"young"))
    clock.advance(A_DAY + 1)

    async def only_the_young_is_left() -> bool:
        return await logged(transport) == 1

    await eventually(only_the_young_is_left)
    (entry,) = await history(transport, 1)
    assert (entry.message.body, entry.offset) == (b"young", 1_235)


async def test_an_offset_is_never_used_twice(open_transport: OpenTransport):
    clock = ManualClock()
    transport = await open_transport(options=OFTEN, clock=clock)
    await send(transport, *orders(3))
    clock.advance(8 * A_DAY)

    async def nothing_is_left() -> bool:
        return await logged(transport) == 0

    await eventually(nothing_is_left)
    async with transport.log("next") as following:
        await send(transport, order(b"new"))
        (entry,) = await anext(following)
    assert entry.offset == 4


async def test_what_a_queue_still_refers_to_stays_until_it_is_settled(open_transport: OpenTransport):
    clock = ManualClock()
    transport = await open_transport(options=OFTEN, clock=clock)
    await send(transport, *orders(2))
    await transport.apply(ORDERS)
    await send(transport, order(b"waiting"))
    clock.advance(8 * A_DAY)

    async def one_is_left() -> bool:
        return await logged(transport) == 1

    await eventually(one_is_left)
    async with transport.consume(CHARGE, prefetch=1) as consumption:
        delivered = await next_batch(consumption)
        assert bodies(delivered) == [b"waiting"]
        await settle(consumption, delivered, Ack())
    clock.advance(61)

    async def nothing_is_left() -> bool:
        return await logged(transport) == 0

    await eventually(nothing_is_left)


async def test_history_goes_also_after_the_clock_was_set_forward_and_back(open_transport: OpenTransport):
    clock = ManualClock()
    transport = await open_transport(options=EmbeddedOptions(heartbeat=60, session_expiry=300), clock=clock)
    engine = transport._open_engine
    await transport.apply(ORDERS)
    await send(transport, order(b"waiting"))
    clock.advance(30 * A_DAY)
    await engine.run(engine._trim)  # it passes over what waits
    clock.advance(-30 * A_DAY)
    async with transport.consume(CHARGE, prefetch=1) as consumption:
        await settle(consumption, await take(consumption, 1), Ack())
    clock.advance(8 * A_DAY)

    await engine.run(engine._trim)

    assert await logged(transport) == 0


async def test_dead_letters_outlive_the_history(open_transport: OpenTransport):
    clock = ManualClock()
    transport = await open_transport(options=OFTEN, clock=clock)
    await transport.apply(ORDERS)
    await send(transport, order(b"declined"))
    async with transport.consume(CHARGE, prefetch=1) as consumption:
        await settle(consumption, await take(consumption, 1), DeadLetter(Reason.REJECTED, "declined"))
    clock.advance(100 * A_DAY)

    async def nothing_is_left() -> bool:
        return await logged(transport) == 0

    await eventually(nothing_is_left)
    (dead,) = await transport.dead_letters(CHARGE, limit=10)
    assert dead.message.body == b"declined"


async def test_the_oldest_history_goes_when_there_is_too_much(open_transport: OpenTransport):
    options = EmbeddedOptions(heartbeat=0.02, log_max_age=None, log_max_bytes=3_000_000)
    transport = await open_transport(options=options)
    for _ in range(5):
        await send(transport, *(order(b"x" * 1_000) for _ in range(1_000)))

    async def it_is_small_enough() -> bool:
        return await logged(transport) < 3_000

    await eventually(it_is_small_enough)
    assert (await history(transport, 1))[0].offset > 2_000


@pytest.mark.parametrize("size", [990_000, 1_000_000, 3_000_000])
async def test_history_is_not_emptied_for_what_others_keep_in_the_file(
    open_transport: OpenTransport, caplog: pytest.LogCaptureFixture, size: int
):
    options = EmbeddedOptions(heartbeat=60, session_expiry=300, log_max_age=None, log_max_bytes=1_000_000)
    transport = await open_transport(options=options)
    await send(transport, *orders(1_200))

    def fill(connection: sqlite3.Connection) -> None:
        connection.execute("CREATE TABLE stranger (body BLOB)")
        connection.execute("INSERT INTO stranger VALUES (zeroblob(?))", (size,))

    await transport.write(fill, durable=False)
    engine = transport._open_engine
    for _ in range(3):
        await engine.run(engine._trim)

    assert await logged(transport) == 1_200
    (told,) = [each.getMessage() for each in caplog.records if "history.limit_of_no_use" in each.getMessage()]
    assert "other things than history fill the file" in told


async def test_history_of_small_and_then_large_events_keeps_to_its_size(open_transport: OpenTransport):
    options = EmbeddedOptions(heartbeat=60, session_expiry=300, log_max_age=None, log_max_bytes=3_000_000)
    transport = await open_transport(options=options)
    engine = transport._open_engine
    await send(transport, *orders(2_000))
    for _ in range(20):  # many times the limit within a round
        await send(transport, *(order(b"x" * 100_000) for _ in range(20)))
        while await engine.run(engine._trim):
            pass

    pages, free = [
        await transport.write(lambda c, name=name: c.execute(f"PRAGMA {name}").fetchone()[0], durable=False)
        for name in ("page_count", "freelist_count")
    ]
    assert (pages - free) * 4096 <= 3_000_000


async def test_history_can_be_kept_for_ever(open_transport: OpenTransport):
    clock = ManualClock()
    options = EmbeddedOptions(heartbeat=0.02, log_max_age=None, log_max_bytes=None)
    transport = await open_transport(options=options, clock=clock)
    await send(transport, order())
    clock.advance(timedelta(days=10_000).total_seconds())

    engine = transport._open_engine
    await engine.run(engine._tick)

    assert await logged(transport) == 1
