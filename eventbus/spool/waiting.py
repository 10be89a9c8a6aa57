"""What waits in the spool, as far as this process knows: is there room, and is it empty again?

Counting takes longer the more there is, so the figures are read now and then, and kept up in between.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from eventbus.counted import many
from eventbus.errors import EventBusError, SendFailed
from eventbus.store import Backlog, Outbox

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

ENTRY_BYTES: Final = 512
"""What an event takes on the disk beside its body: headers, properties, the row and its index."""

_NEAR: Final = 500
"""With so few left, a relay that makes progress is about to be done: new events wait for that."""
_OFTENEST: Final = 0.2
"""Seconds between two looks; and a look takes at most one twentieth of the time."""
_CLOSING_EVERY: Final = 0.01
_AFTER_VAIN_CLOSING: Final = 4
"""So many times its patience nobody is made to wait again."""


@dataclass(frozen=True, slots=True)
class SpoolLimits:
    """New events are refused beyond these; what waits is sent however old it is."""

    bytes: int
    """Of bodies, and 512 for what is around each."""
    age: timedelta
    """Of the oldest event."""


class Waiting:
    """`patience`: seconds that publishers may be made to wait for a relay that has nearly caught up."""

    def __init__(
        self, outbox: Outbox, limits: SpoolLimits, log: FilteringBoundLogger, *, patience: float
    ) -> None:
        self._outbox = outbox
        self._limits = limits
        self._log = log
        self._patience = patience
        self._is_behind = False
        self._is_closing = False
        self._catching_up: asyncio.Task[None] | None = None
        self._looking = asyncio.Lock()
        self._next_look = 0.0
        self._seen = Backlog(0, 0, None)
        self._seen_at = 0.0
        self._put_since = 0
        """Events since that look."""
        self._bytes_since = 0
        """Of those that the look may not have seen."""
        self._bytes_putting = 0
        self._puts = 0
        """Begun ever."""
        self._putting = 0
        """Begun and not ended."""

    async def open(self) -> None:
        await self._look()
        if self._seen.events:
            self._is_behind = True
            self._log.warning("spool.found", events=self._seen.events, oldest_age=self._seen.oldest_age)

    async def close(self) -> None:
        if self._catching_up is not None:
            self._catching_up.cancel()
            await asyncio.wait({self._catching_up})

    def begin(self, error: SendFailed) -> None:
        """From now on events wait."""
        if not self._is_behind:
            self._is_behind = True
            self._log.warning("spool.begun", problem=error.problem)

    @contextmanager
    def putting(self, events: int, size: int) -> Generator[None]:
        self._puts += 1
        self._putting += 1
        self._bytes_since += size
        self._bytes_putting += size
        try:
            yield
            self._put_since += events
        finally:
            self._putting -= 1
            self._bytes_putting -= size

    async def problem_with(self, size: int) -> str | None:
        """Why so many bytes more are not taken; None where there is room."""
        if self._problem_with(size) is not None:
            await self._look(unless_recent=True)
        return self._problem_with(size)

    async def emptied(self, *, within: float) -> bool:
        """Whether nothing waits any more; when that is about to be so, it is waited for, so long at most."""
        if not self._is_behind:
            return True
        task = self._catching_up
        if task is None and asyncio.get_running_loop().time() >= self._next_look:
            task = self._catching_up = asyncio.create_task(self._catch_up(), name="eventbus spool")
        elif not self._is_closing:
            return False
        if task is not None:
            await asyncio.wait({task}, timeout=within)
        return not self._is_behind

    async def _catch_up(self) -> None:
        try:
            before = self._seen.events + self._put_since
            await self._look()
            is_progress = self._seen.events < before
            if not self._seen.events or (is_progress and self._seen.events <= _NEAR):
                await self._close_up()
        except EventBusError as error:
            self._log.warning("spool.not_read", problem=str(error))
            self._next_look = asyncio.get_running_loop().time() + self._patience
        finally:
            self._catching_up = None

    async def _close_up(self) -> None:
        """Publishers wait meanwhile: under load there would never be a moment at which nothing waits."""
        loop = asyncio.get_running_loop()
        ends = loop.time() + self._patience
        self._is_closing = True
        try:
            while loop.time() < ends:
                puts = self._puts
                if not self._putting:
                    await self._look()
                    if not self._seen.events and puts == self._puts:
                        self._is_behind = False
                        self._log.warning("spool.drained")
                        return
                await asyncio.sleep(_CLOSING_EVERY)
        finally:
            self._is_closing = False
        self._next_look = loop.time() + _AFTER_VAIN_CLOSING * self._patience

    async def _look(self, *, unless_recent: bool = False) -> None:
        loop = asyncio.get_running_loop()
        async with self._looking:
            began = loop.time()
            if unless_recent and began < self._next_look:
                return
            before, putting = self._bytes_since, self._bytes_putting
            self._seen = await self._outbox.backlog()
            # What was put meanwhile may be counted or not: no room is seen that there is not, nor progress.
            self._bytes_since += putting - before
            self._put_since = 0
            self._seen_at = loop.time()
            self._next_look = self._seen_at + max(_OFTENEST, 20 * (self._seen_at - began))

    def _problem_with(self, size: int) -> str | None:
        waits = self._seen.bytes + self._seen.events * ENTRY_BYTES + self._bytes_since
        if waits + size > self._limits.bytes:
            return (
                f"is full: {many(self._seen.events, 'event')} and more take {waits} bytes of the "
                f"{self._limits.bytes} allowed (EVENTBUS_SPOOL_BYTES)"
            )
        if self._seen.oldest_age is None:
            return None
        age = self._seen.oldest_age + asyncio.get_running_loop().time() - self._seen_at
        if age > self._limits.age.total_seconds():
            return (
                f"is not being drained: its oldest event waits since {age / 86_400:.1f} days, "
                f"{self._limits.age / timedelta(days=1):g} are allowed (EVENTBUS_SPOOL_DAYS)"
            )
        return None
