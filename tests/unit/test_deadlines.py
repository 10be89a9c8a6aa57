"""Time limits that share their timers."""

from __future__ import annotations

import asyncio
import time

import pytest

from eventbus.deadlines import Begun, Deadlines


async def test_what_takes_longer_ends_with_a_timeout_never_early() -> None:
    began = time.monotonic()
    limit = Deadlines().within(0.03)

    with pytest.raises(TimeoutError), limit:
        await asyncio.sleep(10)

    assert limit.is_over
    assert time.monotonic() - began >= 0.03


async def test_what_is_done_in_time_is_left_alone() -> None:
    deadlines = Deadlines()
    with deadlines.within(0.01) as limit:
        await asyncio.sleep(0)
    with deadlines.within(0.02):
        pass

    await asyncio.sleep(0.05)

    assert not limit.is_over


async def test_a_limit_ends_its_own_block_and_not_that_of_another() -> None:
    deadlines = Deadlines()

    async def wait(seconds: float) -> str:
        try:
            with deadlines.within(seconds):
                await asyncio.sleep(0.1)
        except TimeoutError:
            return "over"
        return "done"

    assert await asyncio.gather(wait(0.01), wait(5), wait(0.02), wait(5)) == ["over", "done", "over", "done"]


async def test_a_cancellation_from_elsewhere_stays_one() -> None:
    async def wait() -> None:
        with Deadlines().within(5):
            await asyncio.sleep(10)

    waiting = asyncio.create_task(wait())
    await asyncio.sleep(0)
    waiting.cancel()

    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_the_inner_of_two_limits_does_not_end_the_outer() -> None:
    deadlines = Deadlines()
    with deadlines.within(5) as outer:
        with pytest.raises(TimeoutError), deadlines.within(0.01):
            await asyncio.sleep(10)
        await asyncio.sleep(0)

    assert not outer.is_over


async def test_an_error_of_the_block_is_not_hidden() -> None:
    with pytest.raises(KeyError), Deadlines().within(5):
        raise KeyError


async def test_what_has_begun_goes_on_as_if_it_had_been_awaited_from_the_start() -> None:
    steps: list[str] = []

    async def work() -> None:
        steps.append("first")
        await asyncio.sleep(0)
        steps.append("second")
        await asyncio.sleep(0.001)
        try:
            await asyncio.sleep(10)
        finally:
            steps.append("cleaned up")

    begun = Begun(work())
    assert steps == ["first"]
    assert not begun.is_done

    with pytest.raises(TimeoutError), Deadlines().within(0.02):
        await begun

    assert steps == ["first", "second", "cleaned up"]


async def test_what_waits_for_nothing_is_done_when_it_has_begun() -> None:
    async def nothing() -> None:
        return

    async def trouble() -> None:
        raise KeyError

    assert Begun(nothing()).is_done
    with pytest.raises(KeyError):
        Begun(trouble())


def test_what_was_to_end_on_another_loop_delays_nothing_on_this_one() -> None:
    """The clock of all loops is the same, and so are the moments of both limits."""
    deadlines = Deadlines()

    async def is_left_in_time() -> None:
        with deadlines.within(0.05):
            pass

    async def takes_too_long() -> None:
        async with asyncio.timeout(5):
            with pytest.raises(TimeoutError), deadlines.within(0.05):
                await asyncio.Event().wait()

    for _ in range(10):
        asyncio.run(is_left_in_time())
        asyncio.run(takes_too_long())
