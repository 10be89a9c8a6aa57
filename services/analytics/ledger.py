"""The analytics service's own database: one entry for each event that it has counted.

Nothing here would notice an event that is counted twice. Each is counted once because its entry, and the mark
that its event is handled, are one transaction.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from eventbus import Transaction


@dataclass(frozen=True, slots=True)
class Total:
    """What was ordered and earned on one day, in UTC, in one currency."""

    day: str
    currency: str
    orders: int
    revenue: Decimal


@dataclass(frozen=True, slots=True)
class Entry:
    """What one event adds."""

    order_id: int
    happened: datetime
    currency: str
    orders: int = 0
    revenue: Decimal = Decimal(0)


def prepare(path: str) -> None:
    """Make the table where there is none."""
    with closing(sqlite3.connect(path, timeout=10)) as database, database:
        database.execute(_TABLE)


async def add(entry: Entry, transaction: Transaction) -> None:
    day, cents = entry.happened.date().isoformat(), int(entry.revenue.scaleb(2))
    await transaction.execute(_ADD, entry.order_id, day, entry.currency, entry.orders, cents)


def totals(path: str, of: Iterable[int] | None = None) -> list[Total]:
    """By day and currency; `of`: of these orders only."""
    ours = None if of is None else set(of)
    sums: dict[tuple[str, str], Total] = {}
    with closing(sqlite3.connect(path, timeout=10)) as database:
        for order_id, day, currency, orders, cents in database.execute(_SUMS):
            if ours is None or order_id in ours:
                known = sums.get((day, currency), Total(day, currency, 0, Decimal(0)))
                revenue = known.revenue + Decimal(cents).scaleb(-2)
                sums[day, currency] = Total(day, currency, known.orders + orders, revenue)
    return list(sums.values())


_TABLE: Final = """
    CREATE TABLE IF NOT EXISTS entries (
        order_id INTEGER NOT NULL,
        day      TEXT NOT NULL,
        currency TEXT NOT NULL,
        orders   INTEGER NOT NULL,
        cents    INTEGER NOT NULL
    )
"""
_ADD: Final = "INSERT INTO entries (order_id, day, currency, orders, cents) VALUES (?, ?, ?, ?, ?)"
_SUMS: Final = """
    SELECT order_id, day, currency, sum(orders), sum(cents) FROM entries GROUP BY 1, 2, 3 ORDER BY 2, 3
"""
