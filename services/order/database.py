"""One SQLite file in one thread of its own, because sqlite3 waits for the disk and the event loop may not."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Concatenate, Final, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Database:
    _connection: sqlite3.Connection
    _thread: ThreadPoolExecutor

    @classmethod
    @asynccontextmanager
    async def open(cls, path: str) -> AsyncGenerator[Database]:
        with ThreadPoolExecutor(1, thread_name_prefix="database") as thread:
            loop = asyncio.get_running_loop()
            connection = await loop.run_in_executor(thread, _connect, path)
            try:
                yield cls(connection, thread)
            finally:
                await loop.run_in_executor(thread, connection.close)

    async def transact(
        self, work: Callable[Concatenate[sqlite3.Connection, P], R], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """What `work` does is done whole, alone, and on the disk when this returns; or not at all."""
        bound = partial(work, self._connection, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(
            self._thread, _transact, self._connection, bound
        )


def _transact(connection: sqlite3.Connection, work: Callable[[], R]) -> R:
    connection.execute("BEGIN IMMEDIATE")
    try:
        result = work()
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
    return result


def _connect(path: str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, timeout=10)
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA journal_mode=WAL")
    _transact(connection, partial(_create, connection))
    return connection


def _create(connection: sqlite3.Connection) -> None:
    for statement in _SCHEMA:
        connection.execute(statement)
    connection.execute(_FIRST_ORDER_ID, (int((time.time() - _EPOCH) * 100),))


_EPOCH: Final = 1_735_689_600
"""2025-01-01T00:00:00Z."""

_SCHEMA: Final = (
    """
    CREATE TABLE IF NOT EXISTS orders (
        order_id        INTEGER PRIMARY KEY AUTOINCREMENT,
        event_id        TEXT NOT NULL UNIQUE,
        user_id         INTEGER NOT NULL,
        total           TEXT NOT NULL,
        currency        TEXT NOT NULL,
        lines           TEXT NOT NULL,
        charge_id       TEXT,
        confirmation_id TEXT,
        payment         TEXT NOT NULL DEFAULT 'pending',
        stock           TEXT NOT NULL DEFAULT 'pending',
        mails           TEXT NOT NULL DEFAULT '',
        status          TEXT NOT NULL DEFAULT 'processing',
        ended_by        TEXT,
        created_at      REAL NOT NULL,
        held            INTEGER NOT NULL DEFAULT 1  -- 0 once its event lies in the outbox, or never will
    )
    """,
    "CREATE INDEX IF NOT EXISTS held_orders ON orders (created_at) WHERE held",
    """
    CREATE TABLE IF NOT EXISTS invoices (
        order_id INTEGER PRIMARY KEY,
        pdf      BLOB NOT NULL
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS sales (
        order_id INTEGER PRIMARY KEY,
        day      TEXT NOT NULL,
        currency TEXT NOT NULL,
        cents    INTEGER NOT NULL
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS sold_out (
        sku   TEXT PRIMARY KEY,
        until REAL NOT NULL
    )
    """,
)
# Order ids travel in events and to the gateway: a database that starts anew must not give them out again.
_FIRST_ORDER_ID: Final = """
    INSERT INTO sqlite_sequence
    SELECT 'orders', ? WHERE NOT EXISTS (SELECT * FROM sqlite_sequence WHERE name = 'orders')
"""
