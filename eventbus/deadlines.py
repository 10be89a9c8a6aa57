"""Time limits by the thousand: what `asyncio.timeout` does, without a timer and an object for each.

A timer costs more than everything else that is done for an event that is handled in time. All limits of one
`Deadlines` share one, which looks for those that are over.
"""

from __future__ import annotations

import asyncio
import contextvars
import math
import time
import types
from collections.abc import Awaitable, Callable, Coroutine, Generator
from operator import itemgetter
from typing import Any, Final, ParamSpec, TypeVar, cast

MOMENT: Final = 0.01
"""Seconds by which a limit may end late; it never ends early."""

T = TypeVar("T")
P = ParamSpec("P")

More = Callable[[], float]
"""Seconds that somebody gets beyond the limit, as it turns out then; 0: none."""

_ENDED: Final = object()


def _coroutine(steps: Callable[P, Generator[Any, Any, T]]) -> Callable[P, Coroutine[Any, Any, T]]:
    """`types.coroutine`, of whose result the type checkers know only that it can be awaited.

    Unlike what they think it has no `__await__`: one `within` must not be given to another as it is.
    """
    return cast("Callable[P, Coroutine[Any, Any, T]]", types.coroutine(steps))


class Deadlines:
    """Of one event loop at a time: what was to end on another one before is forgotten.

    A task is within it once at a time.
    """

    def __init__(
        self, late: Callable[[asyncio.CancelledError], Exception] = lambda _: TimeoutError()
    ) -> None:
        """`late`: makes what is raised for whoever took too long, of the cancellation as it came out."""
        self._late = late
        self._loop: asyncio.AbstractEventLoop | None = None
        self._running: dict[asyncio.Task[Any], tuple[float, int, More | None]] = {}
        """When each is over, how many had cancelled its task when it began, and who may give it more."""
        self._over: dict[asyncio.Task[Any], int] = {}
        """Those whose time was up, and who have not left yet."""
        self._looks_at = math.inf
        self._timer: asyncio.TimerHandle | None = None
        self._context = contextvars.Context()
        """Of nobody: the timer outlives whoever set it."""

    @_coroutine
    def within(
        self, seconds: float, awaited: Awaitable[None], more: More | None = None
    ) -> Generator[Any, Any, None]:
        """Await it. After so many seconds it hears of a cancellation, and this raises what `late` makes.

        `more`: asked when they are over, and again when what it has given is. A cancellation from elsewhere
        stays one, as in `asyncio.timeout`. What never waits cannot be ended, and costs nothing here: the
        limit is set when it waits for the first time.
        """
        began = time.monotonic()
        steps = awaited.__await__()
        if (waits_for := next(steps, _ENDED)) is _ENDED:
            return  # without the exception that `send` raises for an end, which takes longer than all this
        task = self._limit(began + seconds, more)
        try:
            yield from _rest(steps, waits_for)
        except BaseException as error:
            if self._was_late(task) and isinstance(error, asyncio.CancelledError):
                raise self._late(error) from None
            raise
        self._was_late(task)

    def _limit(self, ends_at: float, more: More | None) -> asyncio.Task[Any]:
        """The task that runs, which is cancelled then."""
        # Of a known loop: to find the one that runs, Python 3.11 asks the system who this process is.
        if (loop := self._loop) is None or (task := asyncio.current_task(loop)) is None:
            loop, task = self._begin()
        self._running[task] = ends_at, task.cancelling(), more
        if ends_at < self._looks_at:
            self._look(loop, ends_at)
        return task

    def _begin(self) -> tuple[asyncio.AbstractEventLoop, asyncio.Task[Any]]:
        """On the loop that runs now: the timer of another would never fire."""
        if (task := asyncio.current_task()) is None:
            raise RuntimeError("a time limit is for what a task awaits")
        self._loop = loop = task.get_loop()
        self._running, self._over = {}, {}
        self._looks_at, self._timer = math.inf, None
        return loop, task

    def _was_late(self, task: asyncio.Task[Any]) -> bool:
        """Whether its time was up, and nobody else has cancelled it since it began."""
        if self._running.pop(task, None) is not None:
            return False
        before = self._over.pop(task, None)
        return before is not None and task.uncancel() <= before

    def _look(self, loop: asyncio.AbstractEventLoop, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._looks_at, moment = at, math.ceil(at / MOMENT) * MOMENT
        self._timer = loop.call_at(moment, self._end, loop, context=self._context)

    def _end(self, loop: asyncio.AbstractEventLoop) -> None:
        """Of all that are over, the first first, and look again when the next may be."""
        if loop is not self._loop:
            return
        now, self._looks_at, self._timer = loop.time(), math.inf, None
        over = [(ends_at, task) for task, (ends_at, *_) in self._running.items() if ends_at <= now]
        for _, task in sorted(over, key=itemgetter(0)):
            _, before, more = self._running.pop(task)
            if more is not None and (seconds := more()) > 0:
                self._running[task] = now + seconds, before, more
                continue
            self._over[task] = before
            task.cancel()
        if self._running:
            self._look(loop, min(ends_at for ends_at, *_ in self._running.values()))


class Begun:
    """What was awaited until it waited for the first time: much ends before that.

    `begun = Begun(something())`, and if it is not `is_done`, `await begun` for the rest.
    """

    __slots__ = ("_steps", "_waits_for", "is_done")

    def __init__(self, awaited: Awaitable[None]) -> None:
        self._steps = awaited.__await__()
        self._waits_for: Any = next(self._steps, _ENDED)
        self.is_done = self._waits_for is _ENDED

    def __await__(self) -> Generator[Any, Any, None]:
        if not self.is_done:
            yield from _rest(self._steps, self._waits_for)


def _rest(steps: Generator[Any, Any, None], waits_for: Any) -> Generator[Any, Any, None]:
    """As `await` goes on after the first step (PEP 380)."""
    try:
        while True:
            try:
                yield waits_for
            except BaseException as error:  # noqa: BLE001  a cancellation, which is for what is awaited
                waits_for = steps.throw(error)
            else:
                yield from steps
                return
    except StopIteration:
        return  # it took the cancellation for its end
