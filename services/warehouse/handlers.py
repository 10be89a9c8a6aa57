"""What the warehouse does about the events of others: plain functions, which run in threads."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, assert_never

from eventbus import Context, Depends, RetryLater, RetryPolicy, subscribe
from schemas.order import OrderCompleted, OrderCreated
from schemas.payment import PaymentDeclined
from schemas.warehouse import StockRejected, StockReleased, StockReserved, StockShipped
from services.warehouse.settings import Settings
from services.warehouse.stock import State, Stock

if TYPE_CHECKING:
    from collections.abc import Iterator


def open_stock() -> Iterator[Stock]:
    with Stock.open(Settings.from_environment().database) as stock:
        yield stock


OurStock = Annotated[Stock, Depends(open_stock)]


@subscribe(OrderCreated)
def reserve_stock(event: OrderCreated, stock: OurStock) -> StockReserved | StockRejected | None:
    """Lay ready all that was ordered, or nothing."""
    time.sleep(Settings.from_environment().latency)
    reservation = stock.reserve(event.order_id, ((line.sku, line.quantity) for line in event.lines))
    match reservation.state:
        case State.RESERVED:
            return StockReserved(order_id=event.order_id, lines=event.lines)
        case State.REJECTED:
            return StockRejected(order_id=event.order_id, user_id=event.user_id, missing=reservation.missing)
        case State.SHIPPED | State.RELEASED:
            return None
        case _:
            assert_never(reservation.state)


# Events keep no global order: what follows from an order may come before the order itself, which is then on
# its way. First 0.5 s, then twice that each time, together about an hour.
UNTIL_RESERVED = RetryPolicy(max_attempts=16, first=0.5)


@subscribe(PaymentDeclined, retry=UNTIL_RESERVED)
def release_stock(event: PaymentDeclined, context: Context, stock: OurStock) -> StockReleased | None:
    """What is not paid is not kept."""
    reservation = stock.release(event.order_id)
    if reservation is None:
        raise _too_early(event.order_id, context)
    return StockReleased(order_id=event.order_id) if reservation.state is State.RELEASED else None


@subscribe(OrderCompleted, retry=UNTIL_RESERVED)
def ship_order(event: OrderCompleted, context: Context, stock: OurStock) -> StockShipped | None:
    """The notification carries the id only; the warehouse knows what it laid ready for it."""
    reservation = stock.ship(event.order_id)
    if reservation is None:
        raise _too_early(event.order_id, context)
    return StockShipped(order_id=event.order_id) if reservation.state is State.SHIPPED else None


def _too_early(order_id: int, context: Context) -> RetryLater:
    after = UNTIL_RESERVED.wait_after(context.attempt)
    return RetryLater(after, f"order {order_id} has not been reserved yet")
