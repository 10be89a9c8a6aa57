"""The machine's clocks, as far as one module reads them: held still, and moved by hand."""

from __future__ import annotations

import time


class Times:
    """The machine's time and its monotonic clock, in seconds; both stand still until they are moved."""

    def __init__(self) -> None:
        self.machine = time.time()
        self.monotonic = time.monotonic()

    def pass_by(self, seconds: float) -> None:
        self.machine += seconds
        self.monotonic += seconds


class HeldTime:
    """In the place of the module `time`."""

    def __init__(self, times: Times) -> None:
        self._times = times

    def monotonic(self) -> float:
        return self._times.monotonic

    def monotonic_ns(self) -> int:
        return round(self._times.monotonic * 1_000_000_000)

    def time_ns(self) -> int:
        return round(self._times.machine * 1_000_000_000)
