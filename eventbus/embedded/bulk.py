"""Many rows at once, in few statements and in bounded memory.

Python gives up its interpreter lock around every statement that SQLite runs, and gets it back only when other
threads let go: beside one busy thread `executemany` inserts a few hundred rows a second.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any, Final

from eventbus.portions import portions

_CHUNKS: Final = (256, 64, 16, 4, 1)
"""Few sizes, so that every statement is prepared once; SQLite allows 32 766 values in one."""


def insert(connection: sqlite3.Connection, head: str, rows: Sequence[tuple[object, ...]]) -> int:
    """Insert `rows` in their order; `head` ends with `VALUES `. The number of the last row.

    Where the table numbers its rows by itself, those of one call are consecutive.
    """
    newest = 0
    at = 0
    width = ",".join("?" * len(rows[0]))
    for size in _CHUNKS:
        while len(rows) - at >= size:
            values = [value for row in rows[at : at + size] for value in row]
            newest = connection.execute(head + ",".join([f"({width})"] * size), values).lastrowid or 0
            at += size
    return newest


def within_bytes(rows: Iterable[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """The first of `rows`, whose last column is a body: one at least, and no more once they are large."""
    for taken in portions(rows, lambda row: len(row[-1])):
        return taken
    return []
