"""Waiting that a stop ends, that a cancellation does not end, and for what is away."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Final, TypeVar

from eventbus.errors import EventBusError, describe

Result = TypeVar("Result")

_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 5.0
"""Seconds between two tries of something that is away."""


async def stopped(stop: asyncio.Event, *, within: float) -> bool:
    """Whether `stop` is set; returns when it is, or after so many seconds."""
    try:
        async with asyncio.timeout(within):
            return await stop.wait()
    except TimeoutError:
        return stop.is_set()


async def carried_out(ending: Coroutine[Any, Any, None]) -> None:
    """Return when it is done. Who is cancelled meanwhile leaves at once, and it goes on by itself: it has to
    end some time, and to raise nothing."""
    going_on = asyncio.create_task(ending)
    _going_on.add(going_on)
    going_on.add_done_callback(_going_on.discard)
    await asyncio.shield(going_on)


_going_on: Final[set[asyncio.Task[None]]] = set()
"""The event loop itself holds on to no task."""


async def done_before(stop: asyncio.Event, coroutine: Coroutine[Any, Any, object]) -> bool:
    """Whether it has succeeded before `stop`; otherwise it is cancelled, and has ended. Raises its error."""
    doing, stopping = asyncio.ensure_future(coroutine), asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({doing, stopping}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
        if not doing.done():
            doing.cancel()
            await to_its_end(asyncio.wait({doing}), hurry=doing.cancel)
    if not doing.cancelled():
        doing.result()
    return not doing.cancelled()


async def to_its_end(
    work: Coroutine[Any, Any, Result] | asyncio.Future[Result], *, hurry: Callable[[], object] = lambda: None
) -> Result:
    """What `work` answers; who is cancelled meanwhile is so when it has ended, whatever came of it.

    For what must not be left half done, and is bounded itself. `hurry` is called at each cancellation.
    """
    working = asyncio.ensure_future(work)
    try:
        await asyncio.wait({working})
    except asyncio.CancelledError:
        hurry()
        with suppress(Exception):
            await to_its_end(working, hurry=hurry)
        raise
    return working.result()


class Outage:
    """It is waited for ever longer, and told whenever there is something new to tell."""

    def __init__(self, log: Callable[..., object], event: str) -> None:
        """`log`: a logger's method, such as `log.warning`."""
        self._log = log
        self._event = event
        self.is_over()

    def is_over(self) -> None:
        self._pause, self._told = _FIRST_PAUSE, ""

    def pause(self, error: EventBusError) -> float:
        """Seconds before the next try."""
        if (problem := describe(error)) != self._told:
            self._log(self._event, problem=problem)
            self._told = problem
        pause, self._pause = self._pause, min(2 * self._pause, _LONGEST_PAUSE)
        return pause
