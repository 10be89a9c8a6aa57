"""The table of orders, and every step that an order may take in it."""

from __future__ import annotations

import time
import uuid
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from pydantic import TypeAdapter

from schemas.email import Mail
from schemas.order import Line
from services.order.order import Order, OrderRequest, Summary
from services.order.progress import Payment, Progress, Status, Stock

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable
    from typing import TypeAlias

    from services.order.database import Database
    from services.order.progress import News

    Tell: TypeAlias = Callable[[sqlite3.Connection, Order], None]


@dataclass(frozen=True, slots=True)
class Orders:
    _database: Database

    async def insert(self, request: OrderRequest) -> Order:
        """It is held: nobody hears of it yet."""
        return await self._database.transact(_insert, request)

    async def insert_and_release(self, request: OrderRequest, tell: Tell) -> Order:
        return await self._database.transact(_insert_and_release, request, tell)

    async def release(self, order_id: int, tell: Tell) -> Order:
        """Hold it no longer. `tell` is called in the transaction that says so, and only if it was held."""
        return await self._database.transact(_release, order_id, tell)

    async def get(self, order_id: int) -> Order | None:
        return await self._database.transact(_get, order_id)

    async def newest(self, limit: int) -> list[Order]:
        return await self._database.transact(_newest, limit)

    async def summary(self) -> Summary:
        return await self._database.transact(_summary)

    async def charged(self, order_id: int, charge_id: str) -> Order:
        """The payment was taken while the order was held."""
        return await self._database.transact(_write, _CHARGED, order_id, charge_id)

    async def refused(self, order_id: int) -> Order:
        """The payment was declined while the order was held: nobody else will hear of it."""
        return await self._database.transact(_write, _REFUSED, order_id)

    async def confirmed(self, order_id: int, message_id: str) -> Order:
        """The confirmation was mailed while the order was held."""
        return await self._database.transact(_write, _CONFIRMED, order_id, message_id)

    async def left_behind(self, seconds: float) -> list[Order]:
        """Orders that are held although they were made `seconds` ago or more; 100 at most."""
        return await self._database.transact(_left_behind, time.time() - seconds)

    async def follow(self, order_id: int, news: News, event_id: str) -> Order | None:
        """Take note of an event; gives the order if this is the event that ended it, whenever it comes again.

        An order that was not made here changes nothing and gives None.
        """
        return await self._database.transact(_follow, order_id, news, event_id)


def _insert(connection: sqlite3.Connection, request: OrderRequest) -> Order:
    values = {
        "event_id": f"evt_{uuid.uuid4().hex}",
        "user_id": request.user_id,
        "total": str(request.total),
        "currency": request.currency,
        "lines": _LINES.dump_json(request.lines).decode(),
        "created_at": time.time(),
    }
    return _order(connection.execute(_INSERT, values).fetchone())


def _insert_and_release(connection: sqlite3.Connection, request: OrderRequest, tell: Tell) -> Order:
    return _release(connection, _insert(connection, request).order_id, tell)


def _release(connection: sqlite3.Connection, order_id: int, tell: Tell) -> Order:
    row = connection.execute(_GET, (order_id,)).fetchone()
    order = _order(row)
    if row["held"]:
        tell(connection, order)
        connection.execute(_RELEASE, (order_id,))
    return order


def _get(connection: sqlite3.Connection, order_id: int) -> Order | None:
    row = connection.execute(_GET, (order_id,)).fetchone()
    return _order(row) if row else None


def _newest(connection: sqlite3.Connection, limit: int) -> list[Order]:
    return [_order(row) for row in connection.execute(_NEWEST, (limit,))]


def _left_behind(connection: sqlite3.Connection, before: float) -> list[Order]:
    return [_order(row) for row in connection.execute(_LEFT_BEHIND, (before,))]


def _write(connection: sqlite3.Connection, statement: str, order_id: int, value: str | None = None) -> Order:
    return _order(connection.execute(statement, {"order_id": order_id, "value": value}).fetchone())


def _follow(connection: sqlite3.Connection, order_id: int, news: News, event_id: str) -> Order | None:
    row = connection.execute(_GET, (order_id,)).fetchone()
    if row is None:
        return None
    before = _order(row)
    progress = before.progress.after(news)
    ended_by = row["ended_by"]
    if progress.status is not Status.PROCESSING and ended_by is None:
        ended_by = event_id
    values = {
        "order_id": order_id,
        "payment": progress.payment,
        "stock": progress.stock,
        "mails": " ".join(sorted(progress.mails)),
        "status": progress.status,
        "ended_by": ended_by,
    }
    after = _order(connection.execute(_ADVANCE, values).fetchone())
    return after if ended_by == event_id else None


def _summary(connection: sqlite3.Connection) -> Summary:
    status: Counter[Status] = Counter()
    payment: Counter[Payment] = Counter()
    stock: Counter[Stock] = Counter()
    mails: Counter[Mail] = Counter()
    for row in connection.execute(_COUNT):
        number = int(row["number"])
        status[Status(row["status"])] += number
        payment[Payment(row["payment"])] += number
        stock[Stock(row["stock"])] += number
        mails.update(dict.fromkeys(_mails(row["mails"]), number))
    return Summary(
        orders=status.total(),
        status=status,
        payment=payment,
        stock=stock,
        mails=mails,
        invoices=connection.execute("SELECT count(*) FROM invoices").fetchone()[0],
        revenue={row["currency"]: Decimal(row["cents"]).scaleb(-2) for row in connection.execute(_REVENUE)},
    )


def _order(row: sqlite3.Row) -> Order:
    return Order(
        order_id=row["order_id"],
        event_id=row["event_id"],
        user_id=row["user_id"],
        total=Decimal(row["total"]),
        currency=row["currency"],
        lines=_LINES.validate_json(row["lines"]),
        charge_id=row["charge_id"],
        confirmation_id=row["confirmation_id"],
        progress=Progress(Payment(row["payment"]), Stock(row["stock"]), _mails(row["mails"])),
        status=Status(row["status"]),
    )


def _mails(column: str) -> frozenset[Mail]:
    return frozenset(Mail(name) for name in column.split())


_LINES: Final = TypeAdapter(tuple[Line, ...])

_INSERT: Final = """
    INSERT INTO orders (event_id, user_id, total, currency, lines, created_at)
    VALUES (:event_id, :user_id, :total, :currency, :lines, :created_at)
    RETURNING *
"""
_GET: Final = "SELECT * FROM orders WHERE order_id = ?"
_NEWEST: Final = "SELECT * FROM orders ORDER BY order_id DESC LIMIT ?"
_LEFT_BEHIND: Final = """
    SELECT * FROM orders WHERE held AND created_at <= ? ORDER BY order_id LIMIT 100
"""
_CHARGED: Final = """
    UPDATE orders SET payment = 'captured', charge_id = :value WHERE order_id = :order_id RETURNING *
"""
_REFUSED: Final = """
    UPDATE orders SET payment = 'declined', status = 'declined', held = 0
    WHERE order_id = :order_id RETURNING *
"""
_CONFIRMED: Final = """
    UPDATE orders SET mails = 'confirmation', confirmation_id = :value WHERE order_id = :order_id RETURNING *
"""
_RELEASE: Final = "UPDATE orders SET held = 0 WHERE order_id = ?"
_ADVANCE: Final = """
    UPDATE orders
    SET payment = :payment, stock = :stock, mails = :mails, status = :status, ended_by = :ended_by
    WHERE order_id = :order_id RETURNING *
"""
_COUNT: Final = """
    SELECT status, payment, stock, mails, count(*) AS number FROM orders GROUP BY 1, 2, 3, 4
"""
_REVENUE: Final = "SELECT currency, sum(cents) AS cents FROM sales GROUP BY 1"
