"""The warehouse's own database: what lies on the shelves, and one reservation per order.

    (none) ──▶ reserved ──▶ shipped
       │           └──────▶ released
       └─────▶ rejected

A reservation takes all lines of an order or none of them, in one transaction: two workers cannot sell the
last lamp twice, and an order that comes twice is reserved once.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from threading import Lock
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Mapping


class State(StrEnum):
    RESERVED = "reserved"
    REJECTED = "rejected"
    SHIPPED = "shipped"
    RELEASED = "released"


@dataclass(frozen=True, slots=True)
class Reservation:
    order_id: int
    state: State
    missing: tuple[str, ...]
    """The products that lack, where it was rejected."""


ASSORTMENT: Final[Mapping[str, int]] = {
    "mystery-box": 1_000_000,
    "desk-lamp": 1_000_000,
    "notebook": 1_000_000,
    "signed-print": 3,
    "unicorn": 0,
}
"""What lies on the shelves when the warehouse opens for the first time."""


class Stock:
    """Shelves and reservations, for use from any thread."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self._lock = Lock()

    @classmethod
    @contextmanager
    def open(cls, path: str, assortment: Mapping[str, int] = ASSORTMENT) -> Generator[Stock]:
        database = sqlite3.connect(path, isolation_level=None, timeout=10, check_same_thread=False)
        database.row_factory = sqlite3.Row
        try:
            database.execute("PRAGMA journal_mode=WAL")
            database.execute("BEGIN IMMEDIATE")
            for statement in _SCHEMA:
                database.execute(statement)
            database.executemany(_STOCK_UP, assortment.items())
            database.execute("COMMIT")
            yield cls(database)
        finally:
            database.close()

    def reserve(self, order_id: int, lines: Iterable[tuple[str, int]]) -> Reservation:
        """The order's reservation, made now unless it was made before. `lines`: product and quantity."""
        wanted: Counter[str] = Counter()
        for sku, quantity in lines:
            wanted[sku] += quantity
        with self._transaction() as database:
            known = _find(database, order_id)
            return known or _reserve(database, order_id, wanted)

    def ship(self, order_id: int) -> Reservation | None:
        """reserved → shipped; gives the reservation as it is then, or None where there is none."""
        with self._transaction() as database:
            database.execute(_SHIP, (order_id,))
            return _find(database, order_id)

    def release(self, order_id: int) -> Reservation | None:
        """reserved → released, and everything back on the shelves; else as `ship`."""
        with self._transaction() as database:
            if database.execute(_RELEASE, (order_id,)).rowcount:
                database.execute(_PUT_BACK, (order_id,))
            return _find(database, order_id)

    def available(self, sku: str) -> int:
        """How many can be sold; an unknown product has none."""
        with self._lock:
            row = self._database.execute("SELECT available FROM stock WHERE sku = ?", (sku,)).fetchone()
        return int(row["available"]) if row else 0

    @contextmanager
    def _transaction(self) -> Generator[sqlite3.Connection]:
        """Holds the write lock from its start: what it reads stays true until it commits."""
        with self._lock:
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield self._database
            except BaseException:
                self._database.execute("ROLLBACK")
                raise
            self._database.execute("COMMIT")


def _reserve(database: sqlite3.Connection, order_id: int, wanted: Mapping[str, int]) -> Reservation:
    database.execute("SAVEPOINT taking")
    missing = tuple(sku for sku, quantity in wanted.items() if not _take(database, sku, quantity))
    if missing:
        database.execute("ROLLBACK TO taking")
    database.execute("RELEASE taking")
    reservation = Reservation(order_id, State.REJECTED if missing else State.RESERVED, missing)
    database.execute(_RESERVE, (order_id, reservation.state, " ".join(missing)))
    if not missing:
        rows = [(order_id, sku, quantity) for sku, quantity in wanted.items()]
        database.executemany("INSERT INTO reserved_lines VALUES (?, ?, ?)", rows)
    return reservation


def _take(database: sqlite3.Connection, sku: str, quantity: int) -> bool:
    return database.execute(_TAKE, {"sku": sku, "quantity": quantity}).rowcount == 1


def _find(database: sqlite3.Connection, order_id: int) -> Reservation | None:
    row = database.execute("SELECT * FROM reservations WHERE order_id = ?", (order_id,)).fetchone()
    if row is None:
        return None
    return Reservation(row["order_id"], State(row["state"]), tuple(row["missing"].split()))


_SCHEMA: Final = (
    """
    CREATE TABLE IF NOT EXISTS stock (
        sku       TEXT PRIMARY KEY,
        available INTEGER NOT NULL CHECK (available >= 0)
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS reservations (
        order_id INTEGER PRIMARY KEY,
        state    TEXT NOT NULL CHECK (state IN ('reserved', 'rejected', 'shipped', 'released')),
        missing  TEXT NOT NULL
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS reserved_lines (
        order_id INTEGER NOT NULL REFERENCES reservations,
        sku      TEXT NOT NULL REFERENCES stock,
        quantity INTEGER NOT NULL,
        PRIMARY KEY (order_id, sku)
    )
    """,
)
_STOCK_UP: Final = "INSERT INTO stock (sku, available) VALUES (?, ?) ON CONFLICT DO NOTHING"
_TAKE: Final = """
    UPDATE stock SET available = available - :quantity
    WHERE sku = :sku AND available >= :quantity
"""
_RESERVE: Final = "INSERT INTO reservations (order_id, state, missing) VALUES (?, ?, ?)"
_SHIP: Final = "UPDATE reservations SET state = 'shipped' WHERE order_id = ? AND state = 'reserved'"
_RELEASE: Final = "UPDATE reservations SET state = 'released' WHERE order_id = ? AND state = 'reserved'"
_PUT_BACK: Final = """
    UPDATE stock SET available = available + quantity
    FROM reserved_lines AS held
    WHERE held.sku = stock.sku AND held.order_id = ?
"""
