"""From what the broker hands over to what the handlers take: read, claimed together, put into the intake."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Final

from eventbus.deadlines import Begun
from eventbus.intake import Intake
from eventbus.once import Admitted, Readable
from eventbus.pipeline import Pipeline
from eventbus.settling import Settling
from eventbus.transport import Delivery

_AT_ONCE: Final = 192
"""Deliveries of one question to the inbox: while it is asked, the next are read and those before are handled.
All that there are in one question would leave the handlers with nothing to do meanwhile."""


class Admitting:
    """Of one consumption. While the inbox is asked for some, the handlers have those before them."""

    def __init__(
        self, pipeline: Pipeline, intake: Intake, settling: Settling, group: asyncio.TaskGroup
    ) -> None:
        self._pipeline = pipeline
        self._intake = intake
        self._settling = settling
        self._group = group
        self._is_stopped = False
        self._waiting: set[asyncio.Task[bool]] = set()

    async def put(self, deliveries: Sequence[Delivery]) -> None:
        """What somebody else is handling waits apart, and holds up no other."""
        at_once = self._intake.in_whole_helpings(_AT_ONCE)
        for at in range(0, len(deliveries), at_once):
            if at:
                await asyncio.sleep(0)
            begun = Begun(self._put(deliveries[at : at + at_once]))
            if not begun.is_done:
                self._group.create_task(_rest(begun))

    async def in_order(self, deliveries: Sequence[Delivery]) -> None:
        """What somebody else is handling holds up what came after it."""
        admitted = await self._pipeline.admit(deliveries)
        if not admitted.held:
            self._pass_on(admitted)
            return
        self._settling.add(admitted.ended)
        place = {id(delivery): number for number, delivery in enumerate(deliveries)}
        ready = deque(admitted.ready)
        try:
            for held in admitted.held:
                while ready and place[id(ready[0].delivery)] < place[id(held.delivery)]:
                    self._intake.put([ready.popleft()])
                if not await self._put_held(held):
                    return
            self._intake.put(ready)
            ready.clear()
        finally:
            self._pipeline.release(ready)

    def stop(self) -> None:
        """What waits comes back to the queue."""
        self._is_stopped = True
        for waiting in self._waiting:
            waiting.cancel()

    async def _put(self, deliveries: Sequence[Delivery]) -> None:
        admitted = await self._pipeline.admit(deliveries)
        self._pass_on(admitted)
        for held in () if self._is_stopped else admitted.held:
            waiting = self._group.create_task(self._put_held(held))
            self._waiting.add(waiting)
            waiting.add_done_callback(self._waiting.discard)

    async def _put_held(self, held: Readable) -> bool:
        """Whether it is not held any more: only a stop ends the waiting before."""
        admitted = await self._pipeline.admit_held(held)
        self._pass_on(admitted)
        return not admitted.held

    def _pass_on(self, admitted: Admitted) -> None:
        self._settling.add(admitted.ended)
        self._intake.put(admitted.ready)


async def _rest(begun: Begun) -> None:
    await begun
