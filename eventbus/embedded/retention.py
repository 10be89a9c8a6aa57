"""Old history goes, a little at a time; what a queue still refers to stays until it is settled."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta
from typing import Final

from eventbus.embedded.history_size import Estimate
from eventbus.embedded.options import EmbeddedOptions
from eventbus.embedded.transaction import Transaction
from eventbus.logs import get_logger
from eventbus.record import microseconds

_STEP: Final = 500
"""Entries looked at in one transaction, so that whoever publishes meanwhile is not held up."""
_ROUND: Final = timedelta(minutes=1)
"""What was passed over, because a queue referred to it, is looked at again after this long."""
_NEWEST_OF_STEP: Final = """
    SELECT logged_at, "offset" FROM (
        SELECT logged_at, "offset" FROM eventbus_log
        WHERE (logged_at, "offset") > (?, ?) AND logged_at < ? ORDER BY logged_at, "offset" LIMIT ?
    ) ORDER BY logged_at DESC, "offset" DESC LIMIT 1
"""
_TRIM: Final = """
    DELETE FROM eventbus_log WHERE "offset" IN (
        SELECT l."offset" FROM eventbus_log l
        WHERE (l.logged_at, l."offset") > (?, ?) AND (l.logged_at, l."offset") <= (?, ?)
        AND NOT EXISTS (SELECT 1 FROM eventbus_delivery d WHERE d."offset" = l."offset")
    )
"""
_SHARE: Final = 0.5
"""Of the limit: so much of it is the history's, whatever else fills the file."""
_Place = tuple[int, int]
_BEGINNING: Final[_Place] = (-(2**63), 0)
_END_OF_TIME: Final = 2**63 - 1


class Retention:
    """Runs inside transactions, on the writer's thread."""

    def __init__(self, options: EmbeddedOptions) -> None:
        self._options = options
        self._passed = _BEGINNING
        self._round_began = self._round_ends = datetime.min.replace(tzinfo=UTC)
        self._estimate: Estimate | None = None
        self._is_told = False

    def trim(self, transaction: Transaction, now: datetime) -> bool:
        """Take one step. Whether there is another one to take."""
        if not self._round_began <= now < self._round_ends:  # before it: the clock was set back
            self._passed = _BEGINNING
            self._round_began, self._round_ends = now, now + _ROUND
            self._estimate = None
        connection = transaction.connection
        newest = self._next_step(connection, now)
        if newest is None:
            return False
        removed = connection.execute(_TRIM, (*self._passed, *newest)).rowcount
        if self._estimate is not None:
            self._estimate.removed += removed
        self._passed = newest
        return self._next_step(connection, now) is not None

    def _next_step(self, connection: sqlite3.Connection, now: datetime) -> _Place | None:
        """The newest entry of it; None where nothing is too old or too much."""
        if self._is_too_large(connection):
            before = _END_OF_TIME
        elif self._options.log_max_age is not None:
            before = microseconds(now - self._options.log_max_age)
        else:
            return None
        step: _Place | None = connection.execute(_NEWEST_OF_STEP, (*self._passed, before, _STEP)).fetchone()
        return step

    def _is_too_large(self, connection: sqlite3.Connection) -> bool:
        """By what is in use: the file itself keeps its size, and fills up again.

        The history is not emptied where others fill the file: streams, dead letters, an inbox.
        """
        if self._options.log_max_bytes is None:
            return False
        pages, free, size = (
            connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_count", "freelist_count", "page_size")
        )
        in_use: int = (pages - free) * size
        if in_use <= self._options.log_max_bytes:
            self._is_told = False
            return False
        if self._has_more_than(_SHARE * self._options.log_max_bytes, connection):
            return True
        if not self._is_told:
            self._is_told = True
            get_logger("eventbus.embedded").error(
                "history.limit_of_no_use",
                in_use=in_use,
                limit=self._options.log_max_bytes,
                advice="other things than history fill the file, which grows on: streams, dead letters, an "
                "inbox, or what waits in queues. Keep them elsewhere, or raise EVENTBUS_LOG_MAX_BYTES",
            )
        return False

    def _has_more_than(self, least: float, connection: sqlite3.Connection) -> bool:
        """Of history; counted once in a round, and again whenever it has changed much."""
        if self._estimate is None or self._estimate.is_stale(connection):
            self._estimate = Estimate(connection)
        return self._estimate.size(connection) > least
