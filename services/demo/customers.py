"""Places orders as users do, and follows them until they end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import httpx2

if TYPE_CHECKING:
    from collections.abc import Sequence

    from services.demo.plan import Planned

AT_ONCE: Final = 8
"""Orders that are being placed at one time."""
POLL: Final = 0.1
"""Seconds between two looks at the orders."""

Snapshot = dict[str, Any]
"""What `GET /orders` answers."""


@dataclass(frozen=True, slots=True)
class Placed:
    planned: Planned
    order_id: int
    answered_after: float
    """Milliseconds that the user waited for the answer."""


class OrderRefused(Exception):
    """The shop did not take an order that it had to take."""


@dataclass(slots=True)
class Customers:
    """`show` is told what `GET /orders` answers, as often as it changes."""

    client: httpx2.AsyncClient
    show: Callable[[Snapshot], None]
    placed: list[Placed] = field(default_factory=list[Placed])

    async def place(self, orders: Sequence[Planned]) -> None:
        """Place all of them; raises `OrderRefused`."""
        doors = asyncio.Semaphore(AT_ONCE)

        async def one(planned: Planned) -> None:
            async with doors:
                self.placed.append(await self._place(planned))

        try:
            async with asyncio.TaskGroup() as tasks:
                for planned in orders:
                    tasks.create_task(one(planned))
        except* (OrderRefused, httpx2.HTTPError) as group:
            first = group.exceptions[0]
            raise OrderRefused(str(first) or repr(first)) from group

    async def follow(self, deadline: float) -> Snapshot:
        """Look on until every order that was placed has ended and has its invoice, or until the deadline.

        `deadline` is a time of `time.monotonic`. Gives the last look.
        """
        wanted = {each.order_id for each in self.placed}
        while True:
            snapshot = await self.look()
            ended = {order["order_id"] for order in snapshot["newest"] if order["status"] != "processing"}
            completed = snapshot["summary"]["status"].get("completed", 0)
            if wanted <= ended and snapshot["summary"]["invoices"] >= completed:
                return snapshot
            if time.monotonic() > deadline:
                return snapshot
            await asyncio.sleep(POLL)

    async def look(self) -> Snapshot:
        response = await self.client.get("/orders", params={"newest": 1000})
        snapshot: Snapshot = response.raise_for_status().json()
        self.show(snapshot)
        return snapshot

    async def look_on(self) -> None:
        """Until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(POLL)

    async def _place(self, planned: Planned) -> Placed:
        began = time.perf_counter()
        response = await self.client.post("/orders", params={"mode": planned.mode}, json=planned.body)
        answered_after = (time.perf_counter() - began) * 1000
        if not response.is_success:
            raise OrderRefused(f"order {planned.number}: {response.status_code} {response.text}")
        return Placed(planned, response.json()["order_id"], answered_after)
