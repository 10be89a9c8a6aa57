"""How much of everything: small numbers for every day, larger ones with EVENTBUS_TEST_FULL=1, as in CI.

A third number is for EVENTBUS_TEST_LONG=1: the same for longer, for a person who wants to see it.
"""

from __future__ import annotations

import os
from typing import Final

LONG: Final = os.environ.get("EVENTBUS_TEST_LONG") == "1"
FULL: Final = LONG or os.environ.get("EVENTBUS_TEST_FULL") == "1"


def _size(everyday: int, full: int, long: int | None = None) -> int:
    if LONG and long is not None:
        return long
    return full if FULL else everyday


# fmt: off
PATIENCE: Final = float(_size(15, 240))             # seconds until a test says that nothing more comes
TEST_TIMEOUT: Final = _size(60, 600)                # seconds until pytest ends a test that hangs

MESSAGES_WITH_METADATA: Final   = _size(20, 100)
MESSAGES_IN_ORDER: Final        = _size(200, 1_000)
TOPICS: Final                   = _size(5, 20)
MESSAGES_A_TOPIC: Final         = _size(20, 100)
MESSAGES_TO_TWO_SERVICES: Final = _size(50, 50)
PATTERNS: Final                 = _size(8, 26)      # of the 26 in RabbitMQ's own table

SUBSCRIBERS_OF_ONE_QUEUE: Final = _size(8, 50)
MESSAGES_FOR_THEM: Final        = _size(400, 5_000)
BATCHES_BETWEEN_CLOSES: Final   = 5
MESSAGES_OVER_CLOSES: Final     = _size(500, 5_000)
CLOSED_AT_ONCE: Final           = 10
MESSAGES_AT_CLOSE: Final        = _size(2_000, 10_000)

FAILING_SUBSCRIBERS: Final      = 3
FAILURES_OF_EACH: Final         = _size(20, 100)
MESSAGES_AFTER_FAILURES: Final  = _size(20, 50)

PUBLISHERS: Final               = _size(10, 100)
MESSAGES_UNDER_LOAD: Final      = _size(500, 2_000, 10_000)
LOSSES_UNDER_LOAD: Final        = _size(2, 5)

WRITERS_OF_A_STREAM: Final      = _size(100, 1_000)
HISTORY: Final                  = _size(200, 500, 100_000)  # events before a subscription exists
EVENTS_WHILE_CATCHING_UP: Final = _size(100, 200, 20_000)   # at most a thousand a second
EVENTS_BEFORE_AND_AFTER: Final  = _size(200, 1_000, 5_000)  # the loss of a broker, or of a node of three
ORDERS_OVER_KILLS: Final        = _size(200, 400, 1_000)    # of workers
GATEWAY_AWAY: Final             = float(_size(10, 20, 60))  # seconds
# fmt: on

OUTAGE: Final = float(os.environ.get("EVENTBUS_TEST_OUTAGE", _size(3, 6, 30)))
"""Seconds without a broker, while events wait in a spool."""
