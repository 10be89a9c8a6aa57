"""What is put off becomes ready when the bus's clock says so."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from eventbus.clock import Clock
from eventbus.record import microseconds

_LONGEST_NAP: Final = 1.0
"""Seconds of real time: the clock may be set forward, or the machine may sleep."""


class Alarm:
    """Calls `promote` when the earliest due time is reached; of due times it hears through `expect`."""

    def __init__(self, clock: Clock, promote: Callable[[], None]) -> None:
        self._clock = clock
        self._promote = promote
        self._due_at: int | None = None
        self._timer: asyncio.TimerHandle | None = None

    def expect(self, due_at: int) -> None:
        if self._due_at is None or due_at < self._due_at:
            self._due_at = due_at
            self.check()

    def check(self) -> None:
        """Look at the clock now: it may have jumped."""
        self.cancel()
        if self._due_at is None:
            return
        missing = self._due_at - microseconds(self._clock.now())
        if missing <= 0:
            self._due_at = None
            self._promote()
        else:
            nap = min(missing / 1_000_000, _LONGEST_NAP)
            self._timer = asyncio.get_running_loop().call_later(nap, self.check)

    def cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
