"""Virtual hosts of tests that are over, and when they may be removed."""

from __future__ import annotations

import time
from collections import deque
from typing import Final

from tests.support.broker import Broker

REST: Final = 5.0
"""Seconds between the last use of a virtual host and its removal.

A queue with at-least-once dead-lettering has a worker in the broker. Where the queue goes while its worker
begins, the worker fails, twice at once; that ends the supervisor of all of them, for good, and from then on
the node answers each declaration of such a queue with INTERNAL_ERROR, until it is restarted (seen on 3.10.8;
rabbitmq-server issue 16652).
"""


class OldVhosts:
    """Of one broker."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._resting: deque[tuple[str, float]] = deque()
        """And when each may be removed, the first first."""

    def put(self, vhost: str) -> None:
        """Nobody uses it any more."""
        self._resting.append((vhost, time.monotonic() + REST))

    def remove_rested(self) -> None:
        while self._resting and self._resting[0][1] <= time.monotonic():
            vhost, _ = self._resting.popleft()
            self._broker.delete_vhost(vhost)

    def remove_all(self) -> None:
        """Each when it may be."""
        while self._resting:
            time.sleep(max(0.0, self._resting[0][1] - time.monotonic()))
            self.remove_rested()
