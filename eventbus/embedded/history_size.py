"""About how large the history is: SQLite tells the size of the file, and what is in it only page by page."""

from __future__ import annotations

import json
import sqlite3
from typing import Final

_UNREFERENCED: Final = """
    SELECT (SELECT count(*) FROM eventbus_log INDEXED BY eventbus_log_time)
         - (SELECT count(DISTINCT "offset") FROM eventbus_delivery WHERE "offset" IS NOT NULL)
"""
"""By indexes, which have no bodies: 0.1 s for a million entries."""
_OLDEST: Final = 'SELECT min("offset") FROM eventbus_log'
_NEWEST: Final = 'SELECT max("offset") FROM eventbus_log'
_AVERAGE: Final = """
    SELECT coalesce(avg(length(body) + length(properties)), 0)
    FROM eventbus_log WHERE "offset" IN (SELECT value FROM json_each(?))
"""
_SAMPLE: Final = 500
"""Entries whose size is looked at, spread over all of them."""
_FULLNESS: Final = 0.8
"""Of the pages."""
_BESIDE: Final = 100
"""Bytes that an entry takes beside its body and properties."""
_STALE_AFTER: Final = 0.1


class Estimate:
    """Of what no queue refers to."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._entries: int = connection.execute(_UNREFERENCED).fetchone()[0]
        self._newest = _newest(connection)
        self._bytes_each = _bytes_each(connection, self._newest)
        self.removed = 0
        """Entries since then; to be told."""

    def size(self, connection: sqlite3.Connection) -> float:
        """In bytes."""
        return (self._entries + self._added(connection) - self.removed) * self._bytes_each

    def is_stale(self, connection: sqlite3.Connection) -> bool:
        """Counting again is worth it when a tenth has changed."""
        return self._added(connection) + self.removed > _STALE_AFTER * self._entries

    def _added(self, connection: sqlite3.Connection) -> int:
        return max(0, _newest(connection) - self._newest)


def _newest(connection: sqlite3.Connection) -> int:
    return connection.execute(_NEWEST).fetchone()[0] or 0


def _bytes_each(connection: sqlite3.Connection, newest: int) -> float:
    oldest = connection.execute(_OLDEST).fetchone()[0] or 0
    sample = list(range(oldest, newest + 1, max(1, (newest - oldest) // _SAMPLE)))
    average: float = connection.execute(_AVERAGE, (json.dumps(sample),)).fetchone()[0]
    return average / _FULLNESS + _BESIDE
