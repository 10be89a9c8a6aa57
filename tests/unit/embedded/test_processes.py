"""Several processes on one file; see `program.py` for what the others do."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from eventbus.embedded import EmbeddedOptions, EmbeddedTransport
from eventbus.embedded.watch import Watch
from eventbus.outcome import Ack, RetryAfter
from eventbus.transport import LogEntry
from tests.conformance.process import Process
from tests.support.eventually import eventually
from tests.unit.embedded.conftest import OpenTransport
from tests.unit.embedded.program import HASTY, PATIENT
from tests.unit.embedded.words import (
    CHARGE,
    ORDERS,
    bodies,
    handling,
    history,
    next_batch,
    order,
    send,
    settle,
    stats_of,
    take,
)

STARTS_WITHIN = 30.0


def program(path: Path, what: str, *arguments: str) -> AbstractAsyncContextManager[Process]:
    log = path.with_name(f"{what}.log")
    return Process.started("tests.unit.embedded.program", what, str(path), *arguments, log=log)


async def test_processes_that_find_a_fresh_file_at_the_same_time_all_use_it(
    path: Path, open_transport: OpenTransport
):
    async with AsyncExitStack() as stack:
        others = [await stack.enter_async_context(program(path, "open")) for _ in range(8)]
        for other in others:
            await other.says("started", within=STARTS_WITHIN)
        path.with_name(f"{path.name}.go").touch()
        for other in others:
            await other.says("sent", within=STARTS_WITHIN)

    transport = await open_transport(path)
    assert len(await history(transport, 80)) == 80
    assert len(await transport.diff(ORDERS)) == 0


async def test_a_message_that_kills_its_process_ends_in_the_dead_letters_alone(
    path: Path, open_transport: OpenTransport
):
    transport = await open_transport(path, PATIENT)
    await transport.apply(ORDERS)
    innocent = [order(b"innocent %d" % number) for number in range(5)]
    await send(transport, order(b"poison"), *innocent)

    handled: list[str] = []
    while not await transport.dead_letters(CHARGE, limit=10):
        async with program(path, "suffer") as victim:
            await asyncio.wait_for(victim._process.wait(), STARTS_WITHIN)
        handled += victim.said
        await eventually(lambda: nothing_in_flight(transport))
    async with handling(transport, CHARGE) as rest:
        await transport.idle()

    (dead,) = await transport.dead_letters(CHARGE, limit=10)
    assert (dead.message.body, dead.reason) == (b"poison", "delivery-limit")
    assert sorted([*handled, *(body.decode() for body in rest)]) == [f"innocent {n}" for n in range(5)]


async def nothing_in_flight(transport: EmbeddedTransport) -> bool:
    return (await stats_of(transport, CHARGE)).in_flight == 0


async def test_a_suspended_process_loses_what_it_held_and_begins_anew(
    path: Path, open_transport: OpenTransport
):
    transport = await open_transport(path, HASTY)
    await transport.apply(ORDERS)
    await send(transport, order(b"held"))

    async with program(path, "sleepwalk") as sleeper:
        await sleeper.says("holding", within=STARTS_WITHIN)
        async with transport.consume(CHARGE, prefetch=1) as consumption:
            (delivery,) = await next_batch(consumption)
            assert (delivery.message.body, delivery.redelivered) == (b"held", True)

            sleeper._process.send_signal(signal.SIGCONT)
            await sleeper.says("settled", within=5)
            assert (await stats_of(transport, CHARGE)).in_flight == 1  # that was ours, not the sleeper's
            await settle(consumption, [delivery], RetryAfter(0, "hand it back"))
            await consumption.stop()
            await sleeper.says("handled held", within=5)

    assert (await stats_of(transport, CHARGE)).ready == 0


async def test_another_process_is_heard_within_50_milliseconds(
    path: Path, open_transport: OpenTransport, pauses: list[float]
):
    transport = await open_transport(path)
    await transport.apply(ORDERS)
    heard = 0
    async with transport.consume(CHARGE, prefetch=10) as consumption, program(path, "clock", "20") as other:
        while heard < 20:
            batch = await next_batch(consumption, within=STARTS_WITHIN)
            heard += len(batch)
            await settle(consumption, batch, Ack())
        await other.says("sent", within=STARTS_WITHIN)

    # How much later than it asked for a loaded machine lets it look is not ours.
    assert len(pauses) >= 20
    assert max(pauses) < 0.05


@pytest.fixture
async def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds from each look at what other processes have written to the next."""
    seen: list[float] = []
    loop = asyncio.get_running_loop()
    call_later = loop.call_later

    def noting(delay: float, callback: Callable[..., object], *args: Any, **how: Any) -> asyncio.TimerHandle:
        if isinstance(getattr(callback, "__self__", None), Watch):
            seen.append(delay)
        return call_later(delay, callback, *args, **how)

    monkeypatch.setattr(loop, "call_later", noting)
    return seen


async def test_the_log_follows_what_other_processes_send(path: Path, open_transport: OpenTransport):
    transport = await open_transport(path)
    async with transport.log("next") as following, program(path, "clock", "3"):
        seen: list[LogEntry] = []
        while len(seen) < 3:
            seen += await asyncio.wait_for(anext(following), STARTS_WITHIN)

    assert [entry.offset for entry in seen] == [1, 2, 3]


async def test_waiting_leaves_the_processor_alone(path: Path):
    async with program(path, "rest") as other:
        await other.says_lines(1, within=STARTS_WITHIN)

    # A share of one processor: 0.007 on a quiet machine; a loop that never sleeps would take all of it.
    assert float(other.said[0]) < 0.1


async def test_whoever_is_alive_promotes_what_another_had_put_off(path: Path, open_transport: OpenTransport):
    gone = await open_transport(path)
    await gone.apply(ORDERS)
    await send(gone, order(b"reminder", delay=0.5))
    await gone.close()
    publisher = await open_transport(path)  # it waits for nothing

    async def is_ready() -> bool:
        return (await stats_of(publisher, CHARGE)).ready == 1

    await eventually(is_ready)


async def test_readers_do_not_wait_for_a_writer(path: Path, open_transport: OpenTransport):
    transport = await open_transport(path)
    await transport.apply(ORDERS)
    await send(transport, order(b"before"))
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")

        async with asyncio.timeout(2):
            assert (await stats_of(transport, CHARGE)).ready == 1
            assert await transport.diff(ORDERS) == []
            assert await transport.dead_letters(CHARGE, limit=1) == []


async def test_what_a_killed_process_held_comes_before_what_came_later(
    path: Path, open_transport: OpenTransport
):
    """At once: its number is nobody's any more, so nobody waits for its heartbeat to fail."""
    transport = await open_transport(path, EmbeddedOptions(heartbeat=60, session_expiry=300))
    await transport.apply(ORDERS)
    held = [order(b"poison"), order(b"one"), order(b"two")]
    await send(transport, *held)
    async with program(path, "suffer") as victim:
        await eventually(lambda: victim._process.returncode is not None, within=STARTS_WITHIN)
    await send(transport, order(b"later"))

    async with transport.consume(CHARGE, prefetch=10) as consumption:
        assert bodies(await take(consumption, 4)) == [b"poison", b"one", b"two", b"later"]
