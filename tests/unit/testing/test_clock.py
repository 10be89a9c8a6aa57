from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from eventbus.testing import VirtualClock

START = datetime(2025, 1, 1, tzinfo=UTC)


def after(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


async def test_it_stands_still_until_it_is_moved():
    clock = VirtualClock()
    assert clock.now() == START
    clock.move_to(after(5))
    assert clock.now() == after(5)


async def test_it_never_moves_back():
    clock = VirtualClock()
    clock.move_to(after(5))
    clock.move_to(after(1))
    assert clock.now() == after(5)


def test_it_tells_the_time_in_utc():
    clock = VirtualClock(datetime.fromisoformat("2025-02-15T14:00:00+02:00"))
    assert clock.now().isoformat() == "2025-02-15T12:00:00+00:00"


async def test_sleepers_wake_in_order_when_their_time_has_come():
    clock, woken = VirtualClock(), list[int]()

    async def sleeper(seconds: int) -> None:
        await clock.sleep(seconds)
        woken.append(seconds)

    tasks = [asyncio.create_task(sleeper(seconds)) for seconds in (3, 1, 2)]
    await asyncio.sleep(0)
    assert clock.next_wake() == after(1)
    clock.move_to(after(2))
    await asyncio.wait(tasks[1:])
    assert (woken, clock.next_wake()) == ([1, 2], after(3))
    clock.move_to(after(10))
    await tasks[0]
    assert (woken, clock.next_wake()) == ([1, 2, 3], None)


async def test_a_sleeper_that_was_cancelled_is_forgotten():
    clock = VirtualClock()
    task = asyncio.create_task(clock.sleep(1))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert clock.next_wake() is None
    clock.move_to(after(2))


async def test_to_sleep_no_time_returns():
    await VirtualClock().sleep(0)
    await VirtualClock().sleep(-1)
