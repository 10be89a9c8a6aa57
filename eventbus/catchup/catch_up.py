"""One new subscription's way from the history to its queue, which only one process goes at a time.

binding   its queue is bound, so that nothing published from now on is missed
history   what lies in the log up to a moment after that, in its order
live      the queue; what came to both meanwhile is in the inbox by then, and is not handled again
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Final

from eventbus.catchup.consumption import HistoryConsumption
from eventbus.catchup.copies import Copies
from eventbus.catchup.progress import KIND, Progress, other_buses, page_name
from eventbus.catchup.reading import Reading
from eventbus.clock import Clock, SystemClock
from eventbus.codec import Codec
from eventbus.errors import InvalidSubscription
from eventbus.history import History, Period, Place, Wanted
from eventbus.leaving import Leaving
from eventbus.logbook import Logbook, Page
from eventbus.logs import get_logger
from eventbus.service import Member
from eventbus.store import Inbox, StoreUnavailable
from eventbus.transport import Transport
from eventbus.waiting import stopped

_LOOK_AGAIN: Final = 1.0
"""Seconds between two looks at what another process is doing."""
_ANEW: Final = (
    "it was caught up with the history of these; this bus has one of its own, which begins here. Of an "
    "archive, what the inbox has forgotten is handled again: without start= nothing of history is"
)


@dataclass(frozen=True, slots=True)
class CatchUps:
    """What the catching up of all subscriptions of a process shares."""

    transport: Transport
    history: History
    logbook: Logbook
    inbox: Inbox
    codec: Codec
    clock: Clock
    bus: str
    """Whose history it is; see `whose.bus_of`."""

    def of(self, member: Member) -> CatchUp | None:
        """None where it begins with what is new."""
        return None if member.subscription.start == "new" else CatchUp(member, self)


class CatchUp:
    def __init__(self, member: Member, shared: CatchUps) -> None:
        self._member = member
        self._queue = member.queue
        self._page = page_name(member.queue, shared.bus)
        self._shared = shared
        self._progress: Progress | None = None
        self._leaving = Leaving(shared.logbook)
        self._log = get_logger("eventbus.catchup").bind(service=member.service, subscription=member.queue)

    @property
    def has_ended(self) -> bool:
        """Whether the subscription is live."""
        return self._progress is not None and self._progress.phase == "live"

    async def is_due(self, stop: asyncio.Event) -> bool:
        """Whether history is to be handled here; waits while another process does.

        The queue is bound by now. Raises `StoreUnavailable`, and what the transport raises.
        """
        while not stop.is_set():
            if await self._take():
                return await self._begin(stop)
            if self.has_ended:
                return False
            await stopped(stop, within=_LOOK_AGAIN)
        return False

    @asynccontextmanager
    async def consuming(self, *, prefetch: int) -> AsyncGenerator[HistoryConsumption]:
        """After `is_due`. When it is left with everything handled, the subscription is live."""
        progress, shared = self._progress, self._shared
        if progress is None:
            raise RuntimeError("is_due comes first")
        subscription = self._member.subscription
        start = subscription.start
        since = start if isinstance(start, datetime) else None
        read = partial(shared.history.read, until=progress.until, since=since)
        consumption = HistoryConsumption(
            self._queue,
            Reading(read, progress.place, self._queue),
            Wanted(subscription.patterns, period=Period(since)),
            prefetch=prefetch,
            by_key=subscription.batch is None and subscription.concurrency > 1,
            copies=Copies(shared.transport, self._queue, shared.clock),
            codec=shared.codec,
            note=self._note,
        )
        try:
            async with consumption:
                yield consumption
            if consumption.has_ended:
                await self._go_live("catch_up.done")
        finally:
            await self._leave()

    async def _take(self) -> bool:
        """Whether its page is in our hand; in any case, what is known of it."""
        await self._leaving.before_taking(KIND, self._page)
        try:
            is_ours, page = await self._shared.logbook.take(KIND, self._page, "")
            if is_ours and not page.text and (older := await self._of_an_older_version()) is not None:
                is_ours, page = not older.is_in_hand, older
                if not is_ours:
                    await self._leave()
        except (StoreUnavailable, asyncio.CancelledError):  # and nobody knows whether it is
            await self._leave()
            raise
        self._progress = Progress.of(page.text)
        if not is_ours and self._progress is None:
            self._log.debug("catch_up.elsewhere")
        return is_ours

    async def _of_an_older_version(self) -> Page | None:
        """Its page said of no bus; what it says is so for this one."""
        return await self._shared.logbook.page(KIND, self._queue)

    async def _begin(self, stop: asyncio.Event) -> bool:
        """Whether there is history to handle; if not, or where nobody knows, its page is left."""
        is_due = False
        try:
            is_due = not self.has_ended and await self._prepare(stop)
        finally:
            if not is_due:
                await self._leave()
        return is_due

    async def _prepare(self, stop: asyncio.Event) -> bool:
        if self._progress is not None:
            self._log.info("catch_up.resumed", read=self._progress.read, of=self._progress.total)
            return True
        others = other_buses(await self._shared.logbook.pages(KIND), self._queue, self._shared.bus)
        if others:  # which the inbox may know it from
            self._log.warning("catch_up.another_bus", buses=others, advice=_ANEW)
        elif await self._shared.inbox.remembers(self._queue):
            await self._go_live("catch_up.not_new")
            return False
        bound_at = (await self._shared.history.bounds()).end
        await stopped(stop, within=self._shared.transport.log_lag)
        if stop.is_set():
            return False
        bounds = await self._shared.history.bounds()
        total = await self._shared.history.size(bounds)
        now = self._shared.clock.now()
        await self._write(
            Progress("history", bound_at=bound_at, until=bounds.end, total=total, began_at=now, noted_at=now)
        )
        self._log.info("catch_up.began", events=total)
        return True

    async def _note(self, place: Place, handled: int) -> None:
        """Not while the store is away: the next time will do."""
        progress = self._progress
        if progress is None:
            return
        read = progress.read + handled
        noted = replace(progress, place=place, read=read, noted_at=self._shared.clock.now())
        try:
            await self._write(noted)
        except StoreUnavailable as error:
            self._progress = noted
            self._log.warning("catch_up.not_noted", problem=error.problem)

    async def _go_live(self, told: str) -> None:
        read = 0 if self._progress is None else self._progress.read
        await self._write(Progress("live", read=read, total=read, noted_at=self._shared.clock.now()))
        self._log.info(told, read=read)

    async def _write(self, progress: Progress) -> None:
        """Raises `OutOfHand` where this process was taken for dead."""
        await self._shared.logbook.write(KIND, self._page, progress.text())
        self._progress = progress

    async def _leave(self) -> None:
        await self._leaving(KIND, self._page)


def check_starts(members: Sequence[Member]) -> None:
    """Raises `InvalidSubscription` for one that is to begin in the future."""
    now = SystemClock().now()  # a test's clock may stand before the history that a service wants
    for member in members:
        start = member.subscription.start
        if isinstance(start, datetime) and start > now:
            problem = f"start={start.isoformat()} is in the future"
            raise InvalidSubscription(member.queue, problem, "Name a time that has been, or leave start out")
