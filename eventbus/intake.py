"""What was admitted, on its way to the handlers of one subscription."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Sequence
from typing import Final

from eventbus.headers import replay_id
from eventbus.once import Readable

_WOKEN: Final = 2
"""Workers that are woken at a time. Each wakes as many more while there is something left to do: where
handlers wait, all have work soon; where they never do, one worker does it all, and the others sleep on."""
_STRETCH: Final = 32
"""Events given out before whatever else the event loop has to do has its turn: handlers that wait for nothing
would keep it for as long as there are events."""


class Intake:
    """Deliveries on their way to the handlers, given out in helpings of at most `size`.

    A helping is complete when it is full, or `within` seconds after its first delivery came. A delivery that
    has failed before is given out alone, so that it cannot fail others a second time. What a replay brings is
    in no helping with anything else, for `context.replay` is of all of one.
    """

    def __init__(self, *, size: int = 1, within: float = 0.0) -> None:
        self._loop = asyncio.get_running_loop()
        self._size = size
        self._within = within
        self._waiting: deque[Readable] = deque()
        self._idle: list[asyncio.Future[None]] = []
        """Of the workers that wait for something to do."""
        self._turn = asyncio.Lock()
        self._kept: Readable | None = None
        """Came while a helping was being filled, and does not belong in one."""
        self._dropped: list[Readable] = []
        self._closed = False
        self._at_a_stretch = 0

    def in_whole_helpings(self, count: int) -> int:
        """At least so many: what is put at a time leaves none half full where there is more."""
        return math.ceil(count / self._size) * self._size

    def put(self, admitted: Sequence[Readable]) -> None:
        self._waiting.extend(admitted)
        self._wake(min(_WOKEN, len(admitted)))

    def close(self) -> None:
        """Whoever takes gets nothing any more; what waits is dropped, and comes back to the queue."""
        self._closed = True
        self._wake(len(self._idle))

    @property
    def dropped(self) -> list[Readable]:
        """What was put and is given to nobody, when it is closed and nobody takes any more."""
        return [*self._dropped, *([self._kept] if self._kept else []), *self._waiting]

    def put_back(self) -> None:
        """What was dropped is given out after all, unless it is closed: whoever took it was not cut off."""
        if not self._closed:
            self._waiting.extendleft(reversed(self._dropped))
            self._dropped.clear()

    def take_now(self) -> list[Readable] | None:
        """The next helping, if it is there and nothing else must have its turn first; else `take`."""
        if self._size > 1 or not self._waiting or self._closed or self._at_a_stretch >= _STRETCH:
            return None
        self._at_a_stretch += 1
        return [self._waiting.popleft()]

    async def take(self) -> list[Readable]:
        """The next helping; empty when closed."""
        if self._at_a_stretch >= _STRETCH:
            self._at_a_stretch = 0
            await asyncio.sleep(0)
        self._at_a_stretch += 1
        if self._size == 1:
            first = await self._next()
            return [first] if first is not None else []
        async with self._turn:  # one worker fills one helping at a time, so that they get full
            first = self._kept or await self._next()
            if first is None or self._closed:
                return []
            self._kept = None
            return [first] if first.delivery.attempt > 1 else await self._fill([first])

    async def _fill(self, helping: list[Readable]) -> list[Readable]:
        try:
            async with asyncio.timeout(self._within):
                while len(helping) < self._size:
                    if (following := await self._next()) is None:
                        self._dropped += helping
                        return []
                    if following.delivery.attempt > 1 or _replay_of(following) != _replay_of(helping[0]):
                        self._kept = following
                        break
                    helping.append(following)
        except TimeoutError:
            pass
        except BaseException:
            self._dropped += helping  # cut off: nobody is going to handle them
            raise
        return helping

    async def _next(self) -> Readable | None:
        while not self._closed:
            if self._waiting:
                return self._waiting.popleft()
            woken: asyncio.Future[None] = self._loop.create_future()
            self._idle.append(woken)
            try:
                await woken
            except asyncio.CancelledError:
                if not woken.cancelled():
                    self._wake(1)  # what it was woken for is another's
                raise
            self._wake(min(_WOKEN, len(self._waiting) - 1))
        return None

    def _wake(self, count: int) -> None:
        while count > 0 and self._idle:
            woken = self._idle.pop()  # the one that slept last: its memory is still warm
            if not woken.done():
                woken.set_result(None)
                count -= 1


def _replay_of(readable: Readable) -> str | None:
    return replay_id(readable.delivery.message.headers)
