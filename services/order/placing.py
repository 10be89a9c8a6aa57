"""Placing an order: the eight steps of a shop, and how many of them the user waits for.

    step                      sync   deferred   events
    validate                   x        x         x
    check the inventory        x        x
    take the payment           x        x
    update the database        x        x         x
    send the confirmation      x
    generate the invoice       x
    notify the warehouse       x
    update the analytics       x

Whatever the user does not wait for happens after `order.created`. So does whatever an outside part refuses
to do in line because it is away: the order is placed all the same.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, assert_never

from services.order import invoice
from services.order.charging import Declined, NotNow
from services.order.order import Mode, Order, OrderRequest

if TYPE_CHECKING:
    from services.order.books import Books
    from services.order.charging import Cashier
    from services.order.confirming import Confirming
    from services.order.orders import Orders
    from services.order.publishing import Publishing
    from services.order.settings import Latencies


class OutOfStock(Exception):
    """The warehouse lacked these products when last it was asked."""

    def __init__(self, missing: list[str]) -> None:
        self.missing = missing
        super().__init__(f"out of stock: {', '.join(missing)}")


@dataclass(frozen=True, slots=True)
class Placing:
    orders: Orders
    books: Books
    publishing: Publishing
    cashier: Cashier
    confirming: Confirming
    latencies: Latencies

    async def place(self, request: OrderRequest, mode: Mode) -> Order:
        """The order, written and published; raises `OutOfStock` or `Declined` where the mode waits for it."""
        await asyncio.sleep(self.latencies.validate)
        match mode:
            case Mode.EVENTS:
                await asyncio.sleep(self.latencies.database)
                return await self.publishing.insert(request)
            case Mode.DEFERRED:
                order = await self._pay_first(request)
            case Mode.SYNC:
                order = await self._do_the_rest(await self._pay_first(request))
            case _:
                assert_never(mode)
        return await self.publishing.release(order.order_id)

    async def _pay_first(self, request: OrderRequest) -> Order:
        """The order is written before it is paid: its number is the key under which it is paid once."""
        await asyncio.sleep(self.latencies.inventory)
        missing = await self.books.sold_out([line.sku for line in request.lines])
        if missing:
            raise OutOfStock(missing)
        await asyncio.sleep(self.latencies.database)
        order = await self.orders.insert(request)
        try:
            charge_id = await self.cashier.charge(order)
        except NotNow:
            return order
        except Declined:
            await self.orders.refused(order.order_id)
            raise
        return await self.orders.charged(order.order_id, charge_id)

    async def _do_the_rest(self, order: Order) -> Order:
        with suppress(NotNow):
            order = await self.orders.confirmed(order.order_id, await self.confirming.send(order))
        await asyncio.sleep(self.latencies.invoice)
        await self.books.keep_invoice(order.order_id, invoice.render(order))
        await asyncio.sleep(self.latencies.warehouse)  # which is then told by the event, as it owns its stock
        await asyncio.sleep(self.latencies.analytics)
        await self.books.count_sale(order)
        return order
