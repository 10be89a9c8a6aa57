"""For tests of services: a bus that needs no server and a clock that does not tick by itself."""

from __future__ import annotations

from eventbus.testing.bus import TestBus
from eventbus.testing.clock import VirtualClock

__all__ = ["TestBus", "VirtualClock"]
