"""Events in, effects out, and books of both: what every fault is injected into."""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import count
from typing import Any, Final

from eventbus import Bus, Context, Envelope, RetryPolicy, Service, subscribe
from eventbus.errors import SendFailed, SendFate
from eventbus.ids import new_event_id
from eventbus.settings import Settings
from tests.support.eventually import eventually
from tests.support.ledger import Ledger
from tests.support.numbered import numbered_id

TYPE: Final = "order.created"
SEEN: Final = "audit.seen"
"""The subscription that writes every event into the ledger."""
QUICK_RETRY: Final = RetryPolicy(max_attempts=5, first=1.0, maximum=2.0, jitter=False)

SLACK: Final = 5.0
"""Seconds that a busy machine may add to the timeout of a call."""

_PAUSE_AFTER_FAILURE: Final = 0.1
_FAILURES_KEPT: Final = 100
"""A soak must not be seen to grow by them."""

Effect = Callable[[Context], Awaitable[None]]


async def nothing(_: Context) -> None:
    """No effect but the line in the ledger."""


def bus_to(url: str, *, management_url: str | None = None, **settings: Any) -> Bus:
    """A bus to open; `settings` as in `Settings`."""
    return Bus(source="shop", settings=Settings(url=url, management_url=management_url, **settings), url=url)


def auditing(ledger: Ledger, effect: Effect = nothing, **options: Any) -> Service:
    """A service whose only handler runs `effect` and then enters the event as handled."""

    @subscribe(TYPE, **{"retry": QUICK_RETRY, **options})
    async def seen(event: dict[str, Any], context: Context) -> None:
        await effect(context)
        ledger.handled[SEEN][context.envelope.event_id] += 1

    return Service("audit", [seen])


class Publishing:
    """Publishes one event after another, or so many `at_once`, each again under its event_id until it is
    confirmed."""

    def __init__(
        self,
        bus: Bus,
        ledger: Ledger,
        *,
        timeout: float = 30.0,
        pause: float = 0.002,
        at_once: int = 1,
        most_open: float = math.inf,
    ) -> None:
        """`most_open`: ids in the ledger's memory with which it waits until some are settled."""
        self.slowest = 0.0
        """Seconds that the longest call took."""
        self.failures: deque[SendFailed] = deque(maxlen=_FAILURES_KEPT)
        """The last of them."""
        self._bus = bus
        self._ledger = ledger
        self._timeout = timeout
        self._pause = pause
        self._at_once = at_once
        self._most_open = most_open
        self._stopping = False

    @asynccontextmanager
    async def going_on(self, side_by_side: int = 4) -> AsyncIterator[Publishing]:
        """In the background of the block; what is not confirmed at its end is tried until it is."""
        self._stopping = False
        async with asyncio.TaskGroup() as group:
            for _ in range(side_by_side):
                group.create_task(self._run())
            try:
                yield self
            finally:
                self._stopping = True

    async def confirmed(self, more: int, *, within: float = 10.0) -> None:
        """Return when so many more are confirmed than now."""
        before = self._ledger.count_of_confirmed

        def enough() -> bool:
            now = self._ledger.count_of_confirmed - before
            assert now >= more, f"{now} of {more}; the last failures: {list(self.failures)[-3:]}"
            return True

        await eventually(enough, within=within)

    async def publish(self, event_id: str) -> bool:
        """One try; whether it was confirmed."""
        return not await self._try([event_id])

    async def _try(self, event_ids: Sequence[str]) -> Sequence[str]:
        """Those that were not confirmed."""
        began = time.monotonic()
        self._ledger.published.update(event_ids)
        left: Sequence[str] = ()
        try:
            await self._send(event_ids)
        except SendFailed as failure:
            failure.__cause__ = failure.__context__ = None  # whose frames hold all that was published
            self.failures.append(failure.with_traceback(None))
            fates = failure.fates or [SendFate.NOT_SENT] * len(event_ids)
            known = zip(event_ids, fates, strict=True)
            left = [event_id for event_id, fate in known if fate is not SendFate.CONFIRMED]
        finally:
            self.slowest = max(self.slowest, time.monotonic() - began)
        self._ledger.confirmed.update(set(event_ids).difference(left))
        return left

    async def _send(self, event_ids: Sequence[str]) -> None:
        if len(event_ids) == 1:
            await self._bus.publish(TYPE, {"order_id": 1}, event_id=event_ids[0], timeout=self._timeout)
            return
        now = datetime.now(UTC)
        await self._bus.publish_many(
            [
                Envelope(event_id=each, event_type=TYPE, timestamp=now, version="1.0", data={"order_id": 1})
                for each in event_ids
            ],
            timeout=self._timeout,
        )

    async def _run(self) -> None:
        series = new_event_id()
        for first in count(1, self._at_once):
            numbers = range(first, first + self._at_once)
            await self._until_confirmed([numbered_id(series, number) for number in numbers])
            await asyncio.sleep(self._pause)
            while not self._stopping and self._has_enough():  # noqa: ASYNC110  the ledger sends no word
                await asyncio.sleep(_PAUSE_AFTER_FAILURE)
            if self._stopping:
                return

    def _has_enough(self) -> bool:
        return self._ledger.count_remembered > self._most_open

    async def _until_confirmed(self, event_ids: Sequence[str]) -> None:
        while True:
            if not (event_ids := await self._try(event_ids)):
                return
            await asyncio.sleep(_PAUSE_AFTER_FAILURE)


async def all_handled(ledger: Ledger, *, within: float = 20.0) -> None:
    """Return when nothing that was confirmed is missing."""
    await eventually(lambda: not ledger.lost(SEEN), within=within)
