"""Time limits by the thousand: what `asyncio.timeout` does, without a timer of the loop for each.

A timer costs more than everything else that is done for an event that is handled in time. Limits that end
within the same moment share one.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Generator
from types import TracebackType
from typing import Any, Final, Self

MOMENT: Final = 0.01
"""Seconds by which a limit may end late; it never ends early."""


class Deadlines:
    """Of one event loop at a time: what was to end on another one before is forgotten."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ending: dict[int, set[Limit]] = {}
        """By the moment, counted from the start of the loop's clock, in which they end."""

    def within(self, seconds: float) -> Limit:
        """`with deadlines.within(30) as limit: await …` raises TimeoutError from the block after 30 s."""
        return Limit(self, seconds)

    def ending_in(self, seconds: float) -> set[Limit]:
        """What ends then; whoever is in this set when the time has come."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:  # whose timers would never fire
            self._loop, self._ending = loop, {}
        moment = math.ceil((loop.time() + seconds) / MOMENT)
        if (ending := self._ending.get(moment)) is None:
            ending = self._ending[moment] = set()
            loop.call_at(moment * MOMENT, self._end, moment)
        return ending

    def _end(self, moment: int) -> None:
        for limit in self._ending.pop(moment, ()):
            limit.end()


class Begun:
    """What was awaited until it waited for the first time: most handlers end before that.

    `begun = Begun(something())`, and if it is not `is_done`, `await begun` for the rest.
    """

    __slots__ = ("_running", "_waits_for", "is_done")

    def __init__(self, awaited: Awaitable[None]) -> None:
        self._running = awaited.__await__()
        self.is_done = False
        try:
            self._waits_for: Any = next(self._running)
        except StopIteration:
            self.is_done = True

    def __await__(self) -> Generator[Any, Any, None]:
        """As `await` goes on after the first step (PEP 380)."""
        if self.is_done:
            return
        running, waits_for = self._running, self._waits_for
        try:
            while True:
                try:
                    sent = yield waits_for
                except BaseException as error:  # noqa: BLE001  a cancellation, which is for what is awaited
                    waits_for = running.throw(error)
                else:
                    waits_for = running.send(sent)
        except StopIteration:
            return


class Limit:
    """Around a block of one task, once."""

    __slots__ = ("_before", "_deadlines", "_ending", "_seconds", "_task", "is_over")

    def __init__(self, deadlines: Deadlines, seconds: float) -> None:
        self.is_over = False
        """The time was up before the block was left."""
        self._deadlines = deadlines
        self._seconds = seconds

    def __enter__(self) -> Self:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a time limit is for the block of a task")
        self._task, self._before = task, task.cancelling()
        self._ending = self._deadlines.ending_in(self._seconds)
        self._ending.add(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """A cancellation from elsewhere stays one, as in `asyncio.timeout`."""
        self._ending.discard(self)
        if self.is_over and self._task.uncancel() <= self._before and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def end(self) -> None:
        self.is_over = True
        self._task.cancel()
