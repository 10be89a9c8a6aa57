"""How fast a command may send what it moves."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import Final

from eventbus.clock import Clock

SLOWEST: Final = 0.00001
"""Events a second: one in 28 hours. What is much slower is no time that a clock could wait for."""
_BATCH: Final = 100


def is_rate(rate: float) -> bool:
    """Whether it can be kept: a finite number of events a second, `SLOWEST` or more."""
    return SLOWEST <= rate < math.inf  # and so no NaN


class Pace:
    """At most `rate` a second, `batch` together; None: as fast as it goes."""

    def __init__(self, rate: float | None, clock: Clock, *, batch: int = _BATCH) -> None:
        if rate is not None and not is_rate(rate):
            raise ValueError(f"rate={rate!r}: events a second, {SLOWEST:.5f} or more; None: no limit")
        self._rate = rate
        self._clock = clock
        self._next: datetime | None = None
        self.batch = batch if rate is None else max(1, min(batch, int(rate / 5)))
        """So many go together."""

    async def wait(self, count: int) -> None:
        """Return when the next `count` may go."""
        if self._rate is None:
            return
        now = self._clock.now()
        if self._next is not None and self._next > now:
            await self._clock.sleep((self._next - now).total_seconds())
            now = self._next
        self._next = now + timedelta(seconds=count / self._rate)
