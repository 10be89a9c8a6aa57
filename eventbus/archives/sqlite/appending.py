"""What is copied, as rows of the tables of its months; in a transaction of the caller's."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Sequence

from eventbus.archive import ArchiveEnd, Copied
from eventbus.archives.months import in_bounds, month_of
from eventbus.archives.sqlite.statements import of_month, statements
from eventbus.databases.texts import storable
from eventbus.record import microseconds, pack

Row = tuple[int, int, str, bytes]
Numbered = tuple[int, int, int, str, bytes]


class Appending:
    """Made before anything is asked: raises `InvalidEvent` for a header value that cannot be kept."""

    def __init__(self, entries: Sequence[Copied], next_offset: int) -> None:
        self._next_offset = next_offset
        self._candidates = [_candidate(entry) for entry in entries]

    def __call__(self, connection: sqlite3.Connection) -> int:
        """How many were new."""
        before = end(connection).number
        number = before
        by_month: defaultdict[str, list[Numbered]] = defaultdict(list)
        enter = statements()["enter"]
        for identity, month, row in self._candidates:
            if connection.execute(enter, (identity, month)).rowcount == 1:
                number += 1
                by_month[month].append((number, *row))
        for month, rows in by_month.items():
            _put(connection, month, rows)
        connection.execute(statements()["move"], {"number": number, "next_offset": self._next_offset})
        return number - before


def end(connection: sqlite3.Connection) -> ArchiveEnd:
    return ArchiveEnd(*connection.execute(statements()["end"]).fetchone())


def _candidate(entry: Copied) -> tuple[str, str, Row]:
    message, occurred_at = entry.message, in_bounds(entry.occurred_at)
    row = (microseconds(occurred_at), entry.offset, pack(message), message.body)
    return storable(entry.identity), month_of(occurred_at), row


def _put(connection: sqlite3.Connection, month: str, rows: Sequence[Numbered]) -> None:
    """Makes the table where there is none, be it that somebody has dropped it."""
    connection.execute(of_month("make_month", month))
    connection.execute(of_month("index_month", month))
    connection.execute(
        statements()["enter_month"], {"month": month, "first": rows[0][0], "last": rows[-1][0]}
    )
    connection.executemany(of_month("put", month), rows)
