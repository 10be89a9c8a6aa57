"""The tables of the months as one sequence, in the order of the numbers."""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from heapq import heappop, heappush
from typing import Any

from eventbus.archive import ArchivedEntry
from eventbus.archives.months import span, stretch
from eventbus.archives.sqlite.statements import of_month, statements
from eventbus.record import microseconds, moment, unpack


@dataclass(frozen=True, slots=True)
class Reading:
    """One question; see `Archive.read`."""

    after: int
    limit: int
    since: datetime | None
    until: datetime | None

    def __call__(self, connection: sqlite3.Connection) -> list[ArchivedEntry]:
        if not connection.in_transaction:  # asked again where the file was locked for a moment
            connection.execute("BEGIN")  # all months as of one moment; the connection is closed after this
        return [
            ArchivedEntry(number, unpack(properties, body), moment(occurred_at))
            for number, occurred_at, properties, body in self._rows(connection)
        ]

    def _rows(self, connection: sqlite3.Connection) -> list[Sequence[Any]]:
        """A table is opened when the numbers have come to its first one: most months follow each other."""
        found: list[Sequence[Any]] = []
        months = deque(self._months(connection))
        open_ones: list[tuple[int, Sequence[Any], sqlite3.Cursor]] = []
        """A heap of the next row of each."""
        while len(found) < self.limit:
            while months and (not open_ones or months[0][1] <= open_ones[0][0]):
                _advance(open_ones, self._rows_of(connection, months.popleft()[0]))
            if not open_ones:
                break
            _, row, cursor = heappop(open_ones)
            found.append(row)
            _advance(open_ones, cursor)
        return found

    def _months(self, connection: sqlite3.Connection) -> list[tuple[str, int]]:
        """Those that may have something, and their first numbers, in the order of these."""
        found = connection.execute(statements()["months"], {"after": self.after})
        return [(name, first) for name, first in found if not self._is_outside(name)]

    def _is_outside(self, name: str) -> bool:
        begins, ends = span(name)
        ends_before = self.since is not None and ends is not None and ends <= self.since
        begins_after = self.until is not None and begins is not None and begins >= self.until
        return ends_before or begins_after

    def _is_inside(self, name: str) -> bool:
        begins, ends = span(name)
        return (self.since is None or (begins is not None and begins >= self.since)) and (
            self.until is None or (ends is not None and ends <= self.until)
        )

    def _rows_of(self, connection: sqlite3.Connection, name: str) -> sqlite3.Cursor:
        asked = {"after": self.after, "limit": self.limit}
        if self._is_inside(name):
            return connection.execute(of_month("read", name), asked)
        since, until = stretch(self.since, self.until)
        asked |= {"since": microseconds(since), "until": microseconds(until)}
        return connection.execute(of_month("read_between", name), asked)


def _advance(heap: list[tuple[int, Sequence[Any], sqlite3.Cursor]], cursor: sqlite3.Cursor) -> None:
    row = cursor.fetchone()
    if row is not None:
        heappush(heap, (row[0], row, cursor))
