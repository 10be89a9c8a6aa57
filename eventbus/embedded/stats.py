"""How the subscriptions are doing."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final

from eventbus.broker_report import BrokerReport
from eventbus.embedded.database import OLDEST_SQLITE
from eventbus.embedded.routing import queue_id
from eventbus.transport import QueueStats

_NUMBERS: Final = """
    SELECT
        (SELECT count(*) FROM eventbus_delivery WHERE queue = q.id AND due_at IS NULL AND owner IS NULL),
        (SELECT count(*) FROM eventbus_delivery WHERE queue = q.id AND due_at IS NULL AND owner IS NOT NULL),
        (SELECT count(*) FROM eventbus_delivery WHERE queue = q.id AND due_at IS NOT NULL),
        (SELECT count(*) FROM eventbus_delivery WHERE queue = q.dead_letters AND due_at IS NULL),
        (SELECT min(since) FROM eventbus_delivery WHERE queue = q.id AND due_at IS NULL AND owner IS NULL),
        (SELECT count(*) FROM eventbus_consumer WHERE queue = q.id),
        (SELECT count(*) FROM eventbus_consumer WHERE queue = q.dead_letters)
    FROM eventbus_queue q WHERE q.id = ?
"""

_PATTERNS: Final = "SELECT pattern FROM eventbus_binding WHERE queue = ? ORDER BY pattern"
_QUEUES: Final = "SELECT name FROM eventbus_queue WHERE dead_letters IS NOT NULL ORDER BY name"


def of_queues(connection: sqlite3.Connection, queues: Sequence[str], now: int) -> list[QueueStats]:
    """`now` in microseconds. Raises `TopologyError` where one of the queues does not exist."""
    return [_of_queue(connection, queue, now) for queue in queues]


def _of_queue(connection: sqlite3.Connection, queue: str, now: int) -> QueueStats:
    row = connection.execute(_NUMBERS, (queue_id(connection, queue),)).fetchone()
    ready, in_flight, delayed, dead, oldest, consumers, dead_consumers = row
    return QueueStats(
        queue=queue,
        ready=ready,
        in_flight=in_flight,
        delayed=delayed,
        dead=dead,
        oldest_age=None if oldest is None else max(0.0, (now - oldest) / 1_000_000),
        consumers=consumers,
        dead_consumers=dead_consumers,
    )


def patterns_of(connection: sqlite3.Connection, queue: str) -> list[str]:
    """Raises `TopologyError` where there is no such queue."""
    found = connection.execute(_PATTERNS, (queue_id(connection, queue),))
    return [pattern for (pattern,) in found]


def report(connection: sqlite3.Connection) -> BrokerReport:
    """Read from the file, so that it is known to be readable."""
    (version,) = connection.execute("SELECT sqlite_version() FROM eventbus_transport").fetchone()
    return BrokerReport("SQLite", version, oldest_version=".".join(map(str, OLDEST_SQLITE)))


def subscription_queues(connection: sqlite3.Connection) -> list[str]:
    """All queues but those that hold the dead letters of another."""
    return [name for (name,) in connection.execute(_QUEUES)]
