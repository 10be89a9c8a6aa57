"""The whole shop as processes of its own, inside a test."""

from __future__ import annotations

import asyncio
import mailbox
import sqlite3
from collections import defaultdict
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx2

from services.demo.launcher import Launcher, Running
from services.shop import Latencies, Ports, Shop
from tests.support.eventually import eventually
from tests.support.ports import free_ports

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable, Sequence


@dataclass(frozen=True)
class RunningShop:
    """Its processes by name, such as `payment` and `payment-2`, and what users and operators see of it."""

    shop: Shop
    launcher: Launcher
    client: httpx2.AsyncClient
    parts: dict[str, Running] = field(default_factory=dict[str, Running])

    async def start(self, *names: str) -> None:
        """Start parts, or start them again; they are ready when this returns."""
        parts = {part.name: part for part in (*self.shop.outside(), *self.shop.services())}
        parts["payment-2"] = self.shop.worker("payment", 2)
        for running in await self.launcher.start([parts[name] for name in names]):
            self.parts[running.part.name] = running

    async def kill(self, name: str) -> None:
        """kill -9"""
        await self.launcher.kill(self.parts.pop(name))

    async def order(self, mode: str = "events", **body: Any) -> int:
        """Place an order that ends well unless `body` says otherwise; gives its id."""
        body = {"user_id": 7, "total": "99.99"} | body
        response = await self.client.post("/orders", params={"mode": mode}, json=body)
        order_id: int = response.raise_for_status().json()["order_id"]
        return order_id

    async def status(self, order_id: int) -> str:
        status: str = (await self.client.get(f"/orders/{order_id}")).raise_for_status().json()["status"]
        return status

    async def ended(self, order_ids: Sequence[int], *, within: float = 30.0) -> list[str]:
        """The status of each, when none of them is processing any more."""

        async def statuses() -> list[str]:
            found = [await self.status(order_id) for order_id in order_ids]
            assert "processing" not in found, f"{found.count('processing')} of {len(found)} are processing"
            return found

        return await eventually(statuses, within=within, every=0.2)

    async def behave(self, **behaviour: object) -> None:
        """The gateway, from now on, as `services.payment.gateway_server.Behaviour` says."""
        url = f"{self.shop.gateway_url}/admin/behaviour"
        (await self.client.put(url, json=behaviour)).raise_for_status()

    async def charges(self) -> dict[int, list[str]]:
        """By order, the status of each charge in the gateway's books."""
        books = (await self.client.get(f"{self.shop.gateway_url}/charges")).raise_for_status().json()
        charges: defaultdict[int, list[str]] = defaultdict(list)
        for charge in books:
            charges[int(charge["reference"].removeprefix("order-"))].append(charge["status"])
        return dict(charges)

    def mails(self) -> dict[int, list[str]]:
        """By order, the kinds of mails; copies with the same Message-ID are one mail."""
        mails: defaultdict[int, dict[str, str]] = defaultdict(dict)
        if self.shop.maildir.exists():
            for mail in mailbox.Maildir(self.shop.maildir, create=False):
                mails[int(str(mail["X-Shop-Order"]))][str(mail["Message-ID"])] = str(mail["X-Shop-Mail"])
        return {order_id: sorted(kinds.values()) for order_id, kinds in mails.items()}

    def reservations(self) -> dict[int, str]:
        """By order, the state of its reservation in the warehouse's database."""
        with closing(sqlite3.connect(self.shop.directory / "warehouse.db")) as database:
            return dict(database.execute("SELECT order_id, state FROM reservations").fetchall())

    def logs(self) -> str:
        return "\n".join(f"--- {name}\n{part.said(200)}" for name, part in self.parts.items())


EVERYTHING = ("gateway", "mailbox", "order", "payment", "email", "warehouse")


@asynccontextmanager
async def shop_running(
    url: str | None = None,
    *,
    parts: Iterable[str] = EVERYTHING,
    latencies: Latencies | None = None,
) -> AsyncGenerator[RunningShop]:
    """Ready when entered, gone when left. `url`: the broker; a new SQLite file unless given."""
    async with Launcher.open() as launcher:
        order, gateway, mail = free_ports(3)
        shop = Shop(
            url=url or f"sqlite:///{launcher.directory / 'events.db'}",
            directory=launcher.directory,
            ports=Ports(order=order, gateway=gateway, mailbox=mail),
            latencies=latencies or Latencies(),
        )
        async with httpx2.AsyncClient(base_url=shop.orders_url, timeout=15, trust_env=False) as client:
            running = RunningShop(shop, launcher, client)
            await running.start(*parts)
            try:
                yield running
            except (Exception, asyncio.CancelledError) as error:
                error.add_note(running.logs())
                raise
