"""While something else keeps the file locked for longer than anybody waits, and after."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest

from eventbus.embedded import EmbeddedOptions
from eventbus.errors import BrokerUnreachable
from eventbus.outcome import Ack, RetryAfter
from tests.support.eventually import eventually, eventually_sync
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

IMPATIENT = EmbeddedOptions(busy_timeout=0.1, heartbeat=0.05, session_expiry=2.0)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Nobody else can write inside of this block."""
    with closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as connection:
        eventually_sync(lambda: connection.execute("BEGIN IMMEDIATE"), despite=sqlite3.OperationalError)
        yield


async def test_what_could_not_be_settled_is_handed_over_again(path: Path, open_transport: OpenTransport):
    transport = await open_transport(path, IMPATIENT)
    await transport.apply(ORDERS)
    await send(transport, *orders(2))
    async with transport.consume(CHARGE, prefetch=2) as consumption:
        first, second = await take(consumption, 2)
        with locked(path):
            await settle(consumption, [first], Ack())
            await settle(consumption, [second], RetryAfter(60, "declined"))

        again = await take(consumption, 2)

        assert bodies(again) == [b"0", b"1"]
        assert [(delivery.attempt, delivery.redelivered) for delivery in again] == [(1, True), (1, True)]
        await settle(consumption, again, Ack())
    assert (await stats_of(transport, CHARGE)).ready == 0


async def test_consuming_goes_on_after_the_file_was_locked(path: Path, open_transport: OpenTransport):
    transport = await open_transport(path, IMPATIENT)
    await transport.apply(ORDERS)
    async with transport.consume(CHARGE, prefetch=2) as consumption:
        await send(transport, order(b"patient"))
        with locked(path):
            waiting = asyncio.create_task(next_batch(consumption))
            await asyncio.wait({waiting}, timeout=0.3)
            assert not waiting.done()

        assert bodies(await waiting) == [b"patient"]


async def test_what_a_consumer_held_that_left_while_the_file_was_locked_comes_back(
    path: Path, open_transport: OpenTransport
):
    transport = await open_transport(path, IMPATIENT)
    await transport.apply(ORDERS)
    await send(transport, order(b"held"))
    with ExitStack() as stack:
        async with transport.consume(CHARGE, prefetch=1) as consumption:
            await next_batch(consumption)
            stack.enter_context(locked(path))

    async with transport.consume(CHARGE, prefetch=1) as another:
        assert bodies(await next_batch(another)) == [b"held"]


async def test_what_became_due_while_the_file_was_locked_comes_after_it(
    path: Path, open_transport: OpenTransport
):
    transport = await open_transport(path, IMPATIENT)
    await transport.apply(ORDERS)
    await send(transport, order(b"reminder", delay=0.2))
    async with handling(transport, CHARGE) as handled:
        with locked(path):
            await asyncio.sleep(0.5)
            assert handled == []

        await eventually(lambda: handled == [b"reminder"])


async def test_closing_does_not_wait_for_a_file_that_stays_locked(path: Path, open_transport: OpenTransport):
    transport = await open_transport(path, EmbeddedOptions(heartbeat=0.1, session_expiry=1.0))
    await transport.apply(ORDERS)
    await send(transport, order(b"held"))
    consumption = transport.consume(CHARGE, prefetch=1)
    await next_batch(await consumption.__aenter__())
    with locked(path):
        async with asyncio.timeout(3):
            await transport.close()

    later = await open_transport(path, EmbeddedOptions(heartbeat=0.1, session_expiry=1.0))
    async with later.consume(CHARGE, prefetch=1) as another:
        assert bodies(await next_batch(another)) == [b"held"]


async def test_a_file_that_was_removed_takes_nothing_any_more(path: Path, open_transport: OpenTransport):
    transport = await open_transport(path, EmbeddedOptions(heartbeat=0.02))
    await send(transport, order(b"before"))
    shutil.move(path, path.with_suffix(".old"))

    async def refusal() -> BrokerUnreachable | None:
        try:
            await send(transport, order(b"lost"))
        except BrokerUnreachable as refused:
            return refused
        return None

    refused = await eventually(refusal)
    assert refused is not None
    assert "was removed or replaced" in str(refused)
    assert refused.sent is False


async def test_a_change_of_the_working_directory_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, open_transport: OpenTransport
):
    monkeypatch.chdir(tmp_path)
    transport = await open_transport("events.db", EmbeddedOptions(heartbeat=0.02))
    monkeypatch.chdir(tmp_path.parent)
    engine = transport._open_engine
    await engine.run(engine._tick)

    await send(transport, order())
