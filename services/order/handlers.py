"""What the order service does about the events of others, and about its own.

Orders that other programs have published are not in its database; what is told of them is passed over.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

from eventbus import Context, Depends, subscribe
from schemas.email import EmailSent
from schemas.order import OrderCancelled, OrderCompleted
from schemas.payment import PaymentCaptured, PaymentDeclined, PaymentVoided
from schemas.warehouse import StockRejected, StockReleased, StockReserved, StockShipped
from services.order import invoice
from services.order.books import Books
from services.order.database import Database
from services.order.orders import Orders
from services.order.progress import News, Status
from services.order.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


async def open_database() -> AsyncIterator[Database]:
    async with Database.open(Settings.from_environment().database) as database:
        yield database


OurDatabase = Annotated[Database, Depends(open_database)]


@subscribe(
    PaymentCaptured,
    PaymentDeclined,
    PaymentVoided,
    StockReserved,
    StockRejected,
    StockReleased,
    StockShipped,
    EmailSent,
)
async def follow_order(
    event: News, context: Context, database: OurDatabase
) -> OrderCompleted | OrderCancelled | None:
    """Keep the order's progress; tell everybody when it has come to its end."""
    if isinstance(event, StockRejected):
        await Books(database).note_sold_out(event.missing)
    ended = await Orders(database).follow(event.order_id, event, context.envelope.event_id)
    match ended.status if ended else Status.PROCESSING:
        case Status.PROCESSING:
            return None
        case Status.COMPLETED:
            return OrderCompleted(order_id=event.order_id)
        case Status.DECLINED:
            return OrderCancelled(order_id=event.order_id, reason="declined")
        case Status.OUT_OF_STOCK:
            return OrderCancelled(order_id=event.order_id, reason="out_of_stock")


@subscribe(OrderCompleted)
async def write_invoice(event: OrderCompleted, database: OurDatabase) -> None:
    await asyncio.sleep(Settings.from_environment().latencies.invoice)
    order = await Orders(database).get(event.order_id)
    if order is not None:
        await Books(database).keep_invoice(order.order_id, invoice.render(order))


@subscribe(OrderCompleted)
async def count_sale(event: OrderCompleted, database: OurDatabase) -> None:
    await asyncio.sleep(Settings.from_environment().latencies.analytics)
    order = await Orders(database).get(event.order_id)
    if order is not None:
        await Books(database).count_sale(order)


@subscribe(OrderCancelled)
async def strike_sale(event: OrderCancelled, database: OurDatabase) -> None:
    """With `?mode=sync` an order has its invoice before it is known whether it can be kept."""
    await Books(database).strike(event.order_id)
