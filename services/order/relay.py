"""Every order that was written is published: at once if the broker is there, else when it is there again.

The order lies in the database, marked as unpublished, before anything is sent. A process that dies in
between, or a broker that is away, leaves it behind for the relay. What is sent twice has the same event_id.
"""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from eventbus.errors import SendFailed
from eventbus.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from eventbus import Bus
    from services.order.order import Order
    from services.order.orders import Orders

TIMEOUT: Final = 2.0
"""Seconds that one publish may take: a user may be waiting for it."""
PAUSE: Final = 1.0
"""Seconds between two looks for orders that were left behind."""


@dataclass(frozen=True, slots=True)
class Relay:
    orders: Orders
    bus: Bus
    after: float
    """Seconds after which an unpublished order counts as left behind: longer than any request takes."""

    async def publish(self, order: Order) -> bool:
        """Whether the broker has it now. If not, it will get it later."""
        try:
            await self.bus.publish(
                order.created(), event_id=order.event_id, key=str(order.order_id), timeout=TIMEOUT
            )
        except SendFailed as error:
            get_logger("services.order").warning(
                "order.unpublished", order_id=order.order_id, error=str(error)
            )
            return False
        await self.orders.published(order.order_id)
        return True

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        task = asyncio.create_task(self._run(), name="relay")
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _run(self) -> None:
        while True:
            with suppress(sqlite3.OperationalError):  # the database is busy or its disk is full: look again
                for order in await self.orders.left_behind(self.after):
                    if not await self.publish(order):
                        break
            await asyncio.sleep(PAUSE)
