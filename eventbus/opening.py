"""Reaching a broker or a store that may be away: tried again and again, and told why it is not ready yet."""

from __future__ import annotations

import asyncio
import copy
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

from eventbus.errors import BrokerUnreachable
from eventbus.logs import get_logger
from eventbus.store import StoreUnavailable
from eventbus.waiting import to_its_end

FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 30.0
"""Seconds between two tries to reach the broker; doubled from the first to the longest."""

Result = TypeVar("Result")


class Opening:
    """How far a bus has come that opens beside other work of its process: see `Bus.opening`.

    It says whether everything was started, not whether the broker is still there later on.
    """

    def __init__(self, url: str) -> None:
        self._missing: BrokerUnreachable | StoreUnavailable | None = BrokerUnreachable(
            url, "not connected yet"
        )
        self._tried = asyncio.Event()
        self._complete: asyncio.Event | None = None

    @property
    def is_ready(self) -> bool:
        """Whether broker and store were reached and all subscriptions were started."""
        return self.problem is None

    @property
    def problem(self) -> str | None:
        """Why it is not ready, without secrets; None once it is."""
        if self._missing is not None:
            return self._missing.problem
        if self._complete is not None and not self._complete.is_set():
            return "not every subscription consumes yet: worker.incomplete in the log names them"
        return None

    async def tried(self, *, within: float) -> bool:
        """Whether it is ready; returns after the first try, or after so many seconds if that takes longer."""
        try:
            async with asyncio.timeout(within):
                await self._tried.wait()
        except TimeoutError:
            return False
        return self.is_ready

    def check(self) -> None:
        """Raises `BrokerUnreachable`, with `sent` False, or `StoreUnavailable`, unless it is ready."""
        if self._missing is not None:
            raise copy.copy(self._missing)

    async def insist(self, step: Callable[[], Awaitable[Result]]) -> Result:
        """Its result, tried until broker and store can be reached; raises every other error."""
        log = get_logger("eventbus.opening")
        for pause in _pauses():
            try:
                return await step()
            except (BrokerUnreachable, StoreUnavailable) as error:
                self._missing = error
                self._tried.set()
                told = "broker.unreachable" if isinstance(error, BrokerUnreachable) else "store.unavailable"
                log.warning(told, problem=error.problem, retrying_in=round(pause, 1))
            await asyncio.sleep(pause)
        raise AssertionError("there is always another pause")

    def succeeded(self, complete: asyncio.Event | None) -> None:
        """`complete`: set when all subscriptions consume, where there are any."""
        self._missing, self._complete = None, complete
        self._tried.set()


@asynccontextmanager
async def beside(work: Coroutine[Any, Any, None]) -> AsyncGenerator[None]:
    """Runs `work` beside the block and cancels it at its end; its error cancels the block and is raised."""
    block = asyncio.current_task()
    assert block is not None  # noqa: S101  whoever awaits is a task
    cancelled_before = block.cancelling()
    working = asyncio.create_task(work, name="opening")

    def on_end(ended: asyncio.Task[None]) -> None:
        if not ended.cancelled() and ended.exception() is not None and not leaving:
            block.cancel()

    leaving = False
    working.add_done_callback(on_end)
    try:
        yield
    except asyncio.CancelledError:
        if _error_of(working) is None or block.uncancel() > cancelled_before:
            raise
    finally:
        leaving = True
        working.cancel()
        await to_its_end(asyncio.wait({working}), hurry=working.cancel)
    if (error := _error_of(working)) is not None:
        raise error


def _error_of(task: asyncio.Task[None]) -> BaseException | None:
    return task.exception() if task.done() and not task.cancelled() else None


def _pauses() -> Iterator[float]:
    """Lengthened by up to a quarter, so that many processes do not come back at the same moment."""
    pause = FIRST_PAUSE
    while True:
        yield pause * (1 + 0.25 * random.random())
        pause = min(LONGEST_PAUSE, pause * 2)
