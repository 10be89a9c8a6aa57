"""The payment service's own database: one payment per order, and the states it may go through.

    (none) ──▶ pending ──▶ captured ──▶ voided
                  └──────▶ declined

Every step is one atomic statement that names the state it starts from, so that a step taken twice, or by two
workers at once, is taken once.
"""

from __future__ import annotations

import asyncio
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator


class State(StrEnum):
    PENDING = "pending"
    CAPTURED = "captured"
    DECLINED = "declined"
    VOIDED = "voided"


@dataclass(frozen=True, slots=True)
class Payment:
    order_id: int
    user_id: int
    amount: Decimal
    currency: str
    state: State
    charge_id: str | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class Payments:
    """The table of payments. sqlite3 waits for the disk, so it runs in one thread of its own."""

    _database: sqlite3.Connection
    _thread: ThreadPoolExecutor

    @classmethod
    @asynccontextmanager
    async def open(cls, path: str) -> AsyncGenerator[Payments]:
        with ThreadPoolExecutor(1, thread_name_prefix="payments") as thread:
            loop = asyncio.get_running_loop()
            database = await loop.run_in_executor(thread, _connect, path)
            try:
                yield cls(database, thread)
            finally:
                await loop.run_in_executor(thread, database.close)

    async def begin(self, order_id: int, user_id: int, amount: Decimal, currency: str) -> Payment:
        """The order's payment, pending from now on unless it has begun before."""
        await self._run(_BEGIN, order_id=order_id, user_id=user_id, amount=str(amount), currency=currency)
        return await self._find(order_id)

    async def capture(self, order_id: int, charge_id: str) -> Payment:
        """The money was taken: pending → captured."""
        await self._run(_CAPTURE, order_id=order_id, charge_id=charge_id)
        return await self._find(order_id)

    async def decline(self, order_id: int, reason: str) -> Payment:
        """The money cannot be taken: pending → declined."""
        await self._run(_DECLINE, order_id=order_id, reason=reason)
        return await self._find(order_id)

    async def void(self, order_id: int) -> Payment:
        """The money went back: captured → voided."""
        await self._run(_VOID, order_id=order_id)
        return await self._find(order_id)

    async def get(self, order_id: int) -> Payment | None:
        rows = await self._run(_GET, order_id=order_id)
        return _payment(rows[0]) if rows else None

    async def _find(self, order_id: int) -> Payment:
        return _payment((await self._run(_GET, order_id=order_id))[0])

    async def _run(self, statement: str, **values: object) -> list[sqlite3.Row]:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, partial(_execute, self._database, statement, values))


def _connect(path: str) -> sqlite3.Connection:
    database = sqlite3.connect(path, isolation_level=None, timeout=10)
    database.row_factory = sqlite3.Row
    database.execute("PRAGMA journal_mode=WAL")
    database.execute(_SCHEMA)
    return database


def _execute(database: sqlite3.Connection, statement: str, values: dict[str, Any]) -> list[sqlite3.Row]:
    return database.execute(statement, values).fetchall()


def _payment(row: sqlite3.Row) -> Payment:
    return Payment(
        order_id=row["order_id"],
        user_id=row["user_id"],
        amount=Decimal(row["amount"]),
        currency=row["currency"],
        state=State(row["state"]),
        charge_id=row["charge_id"],
        reason=row["reason"],
    )


_SCHEMA: Final = """
    CREATE TABLE IF NOT EXISTS payments (
        order_id  INTEGER PRIMARY KEY,
        user_id   INTEGER NOT NULL,
        amount    TEXT NOT NULL,
        currency  TEXT NOT NULL,
        state     TEXT NOT NULL CHECK (state IN ('pending', 'captured', 'declined', 'voided')),
        charge_id TEXT UNIQUE,
        reason    TEXT
    )
"""
_BEGIN: Final = """
    INSERT INTO payments (order_id, user_id, amount, currency, state)
    VALUES (:order_id, :user_id, :amount, :currency, 'pending')
    ON CONFLICT (order_id) DO NOTHING
"""
_CAPTURE: Final = """
    UPDATE payments SET state = 'captured', charge_id = :charge_id
    WHERE order_id = :order_id AND state = 'pending'
"""
_DECLINE: Final = """
    UPDATE payments SET state = 'declined', reason = :reason
    WHERE order_id = :order_id AND state = 'pending'
"""
_VOID: Final = "UPDATE payments SET state = 'voided' WHERE order_id = :order_id AND state = 'captured'"
_GET: Final = "SELECT * FROM payments WHERE order_id = :order_id"
