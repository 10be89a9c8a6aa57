"""An order and the event that tells of it: in one transaction of the order's own database.

The event lies in the bus's outbox, which is in the same file, and the bus's relay sends it on: at once if the
broker is there, else when it is there again. What is sent twice has the same event_id.

With `?mode=deferred` and `sync` the event waits for what is done in line, because it tells of it, and because
nobody is to hear of an order whose payment is declined. Such an order is held until then. A request that
dies in between leaves it held; it is published all the same, and the payment service, which uses the same
idempotency key, finds the charge that is there or takes it.
"""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from eventbus import EventBusError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from eventbus import Bus
    from services.order.order import Order, OrderRequest
    from services.order.orders import Orders

PAUSE: Final = 1.0
"""Seconds between two looks for orders that were left behind."""


@dataclass(frozen=True, slots=True)
class Publishing:
    orders: Orders
    bus: Bus
    """Its store is the orders' database."""
    after: float
    """Seconds after which a held order counts as left behind: longer than any request takes."""

    async def insert(self, request: OrderRequest) -> Order:
        """Written and published, or neither."""
        return await self.orders.insert_and_release(request, self._enqueue)

    async def release(self, order_id: int) -> Order:
        """Published, unless it was already."""
        return await self.orders.release(order_id, self._enqueue)

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Beside the block, orders that were left behind are published."""
        task = asyncio.create_task(self._run(), name="orders left behind")
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    def _enqueue(self, connection: sqlite3.Connection, order: Order) -> None:
        self.bus.enqueue(
            order.created(), event_id=order.event_id, key=str(order.order_id), transaction=connection
        )

    async def _run(self) -> None:
        while True:
            # The database is busy, or its disk is full: look again.
            with suppress(sqlite3.OperationalError, EventBusError):
                for order in await self.orders.left_behind(self.after):
                    await self.release(order.order_id)
            await asyncio.sleep(PAUSE)
