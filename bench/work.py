"""The event that every case moves, and a handler that does nothing but count."""

from __future__ import annotations

import asyncio
from decimal import Decimal

from eventbus import Event, Service, Subscription, subscribe


class OrderPlaced(Event, type="bench.order_placed", version="1.0"):
    """About 300 bytes as a message."""

    order_id: int
    user_id: int
    total: Decimal
    note: str = "leave it with the neighbours, second door on the left"


def order(number: int) -> OrderPlaced:
    return OrderPlaced(order_id=number, user_id=number % 97, total=Decimal("99.99"))


def orders(count: int) -> list[OrderPlaced]:
    return list(map(order, range(count)))


class Counter:
    """Counts what is handled; `wait_for` returns when that many have been."""

    def __init__(self) -> None:
        self.seen = 0
        self._wanted = 0
        self._enough = asyncio.Event()

    def count(self) -> None:
        self.seen += 1
        if self.seen >= self._wanted:
            self._enough.set()

    async def wait_for(self, count: int, *, within: float = 120.0) -> None:
        self._wanted = count
        self._enough.clear()
        if self.seen < count:
            async with asyncio.timeout(within):
                await self._enough.wait()


def counting_service(
    counter: Counter, *, prefetch: int = 200, deduplicate: bool = False, waits: float = 0.0
) -> Service:
    """Without the inbox unless a case is about it: what it is compared with has none.

    `waits`: seconds that the handler awaits before it counts.
    """

    async def count(_event: OrderPlaced) -> None:
        counter.count()

    async def wait_and_count(_event: OrderPlaced) -> None:
        await asyncio.sleep(waits)
        counter.count()

    counting: Subscription[..., object] = subscribe(
        OrderPlaced,
        name="count",
        prefetch=prefetch,
        concurrency=prefetch if waits else 100,
        deduplicate=deduplicate,
    )(wait_and_count if waits else count)
    return Service("bench", [counting])
