"""Collects how deliveries end, and carries out those of one moment together."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from eventbus.errors import describe
from eventbus.logs import get_logger
from eventbus.once import Ended
from eventbus.outcome import Ack
from eventbus.pipeline import Pipeline
from eventbus.transport import Consumption

MOMENT: Final = 0.002
"""Seconds from one settling to the next where many end one by one, and each would cost a send of its own."""
_MANY: Final = 8
"""In one settling. Fewer are settled at once: an ack that waits meets the next event in the broker, which has
to wait for it to be written."""


class Settling:
    """Of one consumption. Acks follow what the inbox remembers, and never wait for copies."""

    def __init__(self, consumption: Consumption, pipeline: Pipeline) -> None:
        self._consumption = consumption
        self._pipeline = pipeline
        self._acks: list[Ended] = []
        self._others: list[Ended] = []
        self._running: set[asyncio.Task[None]] = set()
        self._scheduled = False
        self._not_before = 0.0

    def add(self, ended: Sequence[Ended]) -> None:
        for each in ended:
            (self._acks if isinstance(each.outcome, Ack) else self._others).append(each)
        if not self._scheduled and ended:
            self._scheduled = True
            loop = asyncio.get_running_loop()
            loop.call_at(self._not_before, self._flush)

    async def finished(self) -> None:
        """Return when everything added so far is settled."""
        self._flush()
        while self._running:
            await asyncio.gather(*self._running, return_exceptions=True)

    def _flush(self) -> None:
        self._scheduled = False
        loop = asyncio.get_running_loop()
        self._not_before = loop.time() + (MOMENT if len(self._acks) + len(self._others) >= _MANY else 0.0)
        for ended, settle in ((self._acks, self._ack), (self._others, self._copy)):
            if ended:
                task = loop.create_task(settle(ended.copy()))
                self._running.add(task)
                task.add_done_callback(self._settled)
                ended.clear()

    async def _ack(self, handled: Sequence[Ended]) -> None:
        ended = await self._pipeline.remember(handled)
        await self._consumption.settle([(delivery, outcome) for delivery, outcome, _ in ended])

    async def _copy(self, unhandled: Sequence[Ended]) -> None:
        """Retries and dead letters. Whoever gets one may handle it at once."""
        self._pipeline.release(unhandled)
        await self._consumption.settle([(delivery, outcome) for delivery, outcome, _ in unhandled])

    def _settled(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            get_logger("eventbus.subscriber").error("settle.failed", error=describe(error))
