"""Time limits that share their timers."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import time
import weakref
from collections.abc import Callable

import pytest

from eventbus.deadlines import Begun, Deadlines


async def test_what_takes_longer_ends_with_a_timeout_never_early() -> None:
    began = time.monotonic()

    with pytest.raises(TimeoutError):
        await Deadlines().within(0.03, asyncio.sleep(10))

    assert time.monotonic() - began >= 0.03
    assert not is_being_cancelled()


async def test_it_says_what_it_was_made_to_say() -> None:
    with pytest.raises(KeyError, match="late"):
        await Deadlines(late=lambda _: KeyError("late")).within(0.01, asyncio.sleep(10))


async def test_what_is_done_in_time_is_left_alone() -> None:
    deadlines = Deadlines()
    await deadlines.within(0.01, asyncio.sleep(0))
    await deadlines.within(0.02, nothing())

    await asyncio.sleep(0.05)

    assert not is_being_cancelled()


async def test_whoever_is_given_more_ends_when_that_is_over() -> None:
    given = [0.02, 0.03]
    began = time.monotonic()

    with pytest.raises(TimeoutError):
        await Deadlines().within(0.01, asyncio.sleep(10), lambda: given.pop() if given else 0.0)

    assert time.monotonic() - began >= 0.06
    assert not is_being_cancelled()


async def test_a_limit_ends_what_is_its_own_and_nothing_else() -> None:
    deadlines = Deadlines()

    async def wait(seconds: float) -> str:
        try:
            await deadlines.within(seconds, asyncio.sleep(0.1))
        except TimeoutError:
            return "over"
        return "done"

    assert await asyncio.gather(wait(0.01), wait(5), wait(0.02), wait(5)) == ["over", "done", "over", "done"]


@pytest.mark.parametrize("order", [sorted, lambda all_: sorted(all_, reverse=True)])
@pytest.mark.parametrize("is_busy", [False, True])
async def test_limits_of_any_length_end_in_their_order_and_never_early(
    order: Callable[[list[float]], list[float]], *, is_busy: bool
) -> None:
    """`is_busy`: the loop comes to all of them in one turn."""
    deadlines = Deadlines()
    ended: list[float] = []

    async def end_after(seconds: float) -> None:
        ends = time.monotonic() + seconds
        with pytest.raises(TimeoutError):
            await deadlines.within(seconds, asyncio.sleep(10))
        assert time.monotonic() >= ends
        ended.append(ends)

    lengths = order([0.02 * number for number in range(1, 11)])
    if is_busy:
        asyncio.get_running_loop().call_later(0.001, time.sleep, 0.3)
    async with asyncio.timeout(5):
        await asyncio.gather(*map(end_after, lengths))

    assert len(ended) == len(lengths)
    assert ended == sorted(ended)


async def test_a_cancellation_from_elsewhere_stays_one() -> None:
    waiting = asyncio.create_task(sleep_within(5))
    await asyncio.sleep(0)
    waiting.cancel()

    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_a_cancellation_in_the_moment_in_which_it_ends_stays_one() -> None:
    """Whoever stops a program must not hear of a timeout instead."""
    waiting = asyncio.create_task(sleep_within(0.01))
    loop = asyncio.get_running_loop()
    loop.call_later(0.005, lambda: (time.sleep(0.03), loop.call_soon(waiting.cancel)))

    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert waiting.cancelled()


async def test_whoever_was_cancelled_before_and_went_on_still_hears_that_it_is_late() -> None:
    async def goes_on() -> None:
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            with pytest.raises(TimeoutError):
                await Deadlines().within(0.01, asyncio.sleep(10))

    going = asyncio.create_task(goes_on())
    await asyncio.sleep(0)
    going.cancel()

    await going


async def test_what_ends_in_spite_of_its_cancellation_leaves_none_behind() -> None:
    heard: list[str] = []

    async def stubborn() -> None:
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            heard.append("cancelled")

    await Deadlines().within(0.01, stubborn())
    assert heard == ["cancelled"]
    assert not is_being_cancelled()


async def test_the_inner_of_two_limits_does_not_end_the_outer() -> None:
    inner = Deadlines()

    went_on: list[bool] = []

    async def wait() -> None:
        with pytest.raises(TimeoutError):
            await inner.within(0.01, asyncio.sleep(10))
        await asyncio.sleep(0)
        went_on.append(True)

    await Deadlines().within(5, wait())
    assert went_on


async def test_the_timer_keeps_nothing_of_whoever_set_it() -> None:
    """It stays until the limit would have ended; what a request has in its context must not."""

    class Request:
        pass

    deadlines = Deadlines()

    async def handle_request() -> weakref.ref[Request]:
        request = Request()
        current.set(request)
        await deadlines.within(60, asyncio.sleep(0))
        return weakref.ref(request)

    current: contextvars.ContextVar[Request] = contextvars.ContextVar("current")
    request = await asyncio.create_task(handle_request())
    await asyncio.sleep(0)
    gc.collect()

    assert request() is None


async def test_an_error_is_not_hidden() -> None:
    async def trouble() -> None:
        raise KeyError

    with pytest.raises(KeyError):
        await Deadlines().within(5, trouble())


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

    with pytest.raises(TimeoutError):
        await Deadlines().within(0.5, rest_of(begun))

    assert steps == ["first", "second", "cleaned up"]


async def test_what_waits_for_nothing_is_done_when_it_has_begun() -> None:
    async def trouble() -> None:
        raise KeyError

    assert Begun(nothing()).is_done
    with pytest.raises(KeyError):
        Begun(trouble())


def test_what_was_to_end_on_another_loop_delays_nothing_on_this_one() -> None:
    """The clock of all loops is the same, and so are the moments of both limits."""
    deadlines = Deadlines()

    async def is_left_in_time() -> None:
        await deadlines.within(0.05, asyncio.sleep(0))  # what waits for nothing has no limit to be left

    async def takes_too_long() -> None:
        async with asyncio.timeout(5):
            with pytest.raises(TimeoutError):
                await deadlines.within(0.05, asyncio.Event().wait())

    for _ in range(10):
        asyncio.run(is_left_in_time())
        asyncio.run(takes_too_long())


async def nothing() -> None:
    return


def is_being_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def rest_of(begun: Begun) -> None:
    await begun


async def sleep_within(seconds: float) -> None:
    await Deadlines().within(seconds, asyncio.sleep(10))
