"""Who takes whom for dead, when the machine's time is no longer what it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from eventbus.embedded import EmbeddedOptions, EmbeddedTransport, session
from eventbus.outcome import Ack
from tests.support.machine_time import HeldTime, Times
from tests.unit.embedded.conftest import OpenTransport
from tests.unit.embedded.words import CHARGE, ORDERS, next_batch, order, send, settle, stats_of

BY_HAND = EmbeddedOptions(heartbeat=1_000.0, session_expiry=5_000.0)
"""No heartbeat comes by itself."""
AN_HOUR = 3_600.0
LONG = 4 * AN_HOUR


@pytest.fixture
def times(monkeypatch: pytest.MonkeyPatch) -> Times:
    times = Times()
    monkeypatch.setattr(session, "time", HeldTime(times))
    return times


async def beat(transport: EmbeddedTransport) -> None:
    engine = transport._open_engine
    await engine.run(engine.session.beat)


@pytest.mark.parametrize("jump", [LONG, BY_HAND.session_expiry * 0.9, -LONG])
async def test_a_machine_that_slept_or_whose_clock_was_set_takes_nobody_for_dead(
    path: Path, open_transport: OpenTransport, times: Times, jump: float
):
    holder = await open_transport(path, BY_HAND)
    first_awake = await open_transport(path, BY_HAND)
    await holder.apply(ORDERS)
    await send(holder, order())
    async with holder.consume(CHARGE, prefetch=1) as consumption:
        held = await next_batch(consumption)
        times.pass_by(900)
        times.machine += jump
        await beat(first_awake)
        times.pass_by(1_000)
        await beat(first_awake)

        assert (await stats_of(first_awake, CHARGE)).in_flight == 1
        await beat(holder)
        times.pass_by(4_500)
        await beat(first_awake)

        assert (await stats_of(first_awake, CHARGE)).in_flight == 1
        await settle(consumption, held, Ack())


async def test_whoever_is_still_silent_long_after_a_jump_counts_as_dead(
    path: Path, open_transport: OpenTransport, times: Times
):
    holder = await open_transport(path, BY_HAND)
    first_awake = await open_transport(path, BY_HAND)
    await holder.apply(ORDERS)
    await send(holder, order())
    async with holder.consume(CHARGE, prefetch=1) as consumption:
        await next_batch(consumption)
        times.machine += LONG
        for _ in range(6):
            await beat(first_awake)
            times.pass_by(1_000)

        assert (await stats_of(first_awake, CHARGE)).in_flight == 0
