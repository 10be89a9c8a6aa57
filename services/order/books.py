"""What the shop keeps beside its orders: invoices, sales for the statistics, and what is sold out."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from services.order.database import Database
    from services.order.order import Order

REMEMBERED: Final = 60.0
"""Seconds for which a product counts as sold out after the warehouse lacked it; it may come in again."""


@dataclass(frozen=True, slots=True)
class Books:
    _database: Database

    async def keep_invoice(self, order_id: int, pdf: bytes) -> None:
        await self._database.transact(_write, _KEEP_INVOICE, (order_id, pdf))

    async def invoice(self, order_id: int) -> bytes | None:
        return await self._database.transact(_invoice, order_id)

    async def count_sale(self, order: Order) -> None:
        """For the statistics: a sale counts once, on the day when it was first counted."""
        cents = int(order.total.scaleb(2))
        day = datetime.now(UTC).date().isoformat()
        await self._database.transact(_write, _COUNT_SALE, (order.order_id, day, order.currency, cents))

    async def strike(self, order_id: int) -> None:
        """There was no sale after all: neither invoice nor statistics."""
        await self._database.transact(_strike, order_id)

    async def note_sold_out(self, skus: Sequence[str]) -> None:
        until = time.time() + REMEMBERED
        for sku in skus:
            await self._database.transact(_write, _NOTE_SOLD_OUT, (sku, until))

    async def sold_out(self, skus: Sequence[str]) -> list[str]:
        """Which of these the warehouse lacked when last it told: a guess that saves work, no promise."""
        return await self._database.transact(_sold_out, skus)


def _write(connection: sqlite3.Connection, statement: str, values: tuple[object, ...]) -> None:
    connection.execute(statement, values)


def _strike(connection: sqlite3.Connection, order_id: int) -> None:
    connection.execute("DELETE FROM invoices WHERE order_id = ?", (order_id,))
    connection.execute("DELETE FROM sales WHERE order_id = ?", (order_id,))


def _invoice(connection: sqlite3.Connection, order_id: int) -> bytes | None:
    row = connection.execute("SELECT pdf FROM invoices WHERE order_id = ?", (order_id,)).fetchone()
    return row["pdf"] if row else None


def _sold_out(connection: sqlite3.Connection, skus: Sequence[str]) -> list[str]:
    rows = connection.execute("SELECT sku FROM sold_out WHERE until > ?", (time.time(),)).fetchall()
    known = {row["sku"] for row in rows}
    return [sku for sku in skus if sku in known]


_KEEP_INVOICE: Final = "INSERT INTO invoices (order_id, pdf) VALUES (?, ?) ON CONFLICT DO NOTHING"
_COUNT_SALE: Final = """
    INSERT INTO sales (order_id, day, currency, cents) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING
"""
_NOTE_SOLD_OUT: Final = """
    INSERT INTO sold_out (sku, until) VALUES (?, ?) ON CONFLICT (sku) DO UPDATE SET until = excluded.until
"""
