"""The order service dies at each point of an order's way: every order in its database has its event, once."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path

import httpx2
import pytest

from eventbus import Service, subscribe
from schemas import OrderCreated
from tests.conformance.process import Process
from tests.support.eventually import eventually
from tests.support.load import bus_to
from tests.support.outside import gateway_running

PROGRAM = "tests.faults.order_program"
STARTING = 30.0
ON_ANY_WAY = (
    "before the insert",
    "after the insert, before the event is written",
    "after the event is written, before the commit",
    "after the commit, before the relay sends",
    "after the relay has sent, before the event is removed",
)
WHERE_IT_PAYS_FIRST = (
    "before the payment",
    "after the payment, before it is written",
    "after the payment is written, before the event is",
)


class Clerk:
    """Places orders at a service that dies of them and is started again."""

    def __init__(self, mode: str, place: Path, port: int) -> None:
        self.answered: list[int] = []
        """The orders that it has answered for."""
        self._mode = mode
        self._place = place
        self._url = f"http://127.0.0.1:{port}"

    async def orders_until_it_dies(self, point: str) -> None:
        async with (
            Process.started(PROGRAM, point, log=self._place / "order.log") as service,
            self._at_the_counter() as client,
        ):
            with suppress(httpx2.TransportError):
                while True:
                    await self._order(client)
            await service.ends(within=STARTING)

    async def orders(self, count: int) -> None:
        async with self._at_the_counter() as client:
            for _ in range(count):
                await self._order(client)

    @asynccontextmanager
    async def _at_the_counter(self) -> AsyncIterator[httpx2.AsyncClient]:
        async with httpx2.AsyncClient(base_url=self._url, trust_env=False) as client:
            await eventually(lambda: _listens(client), within=STARTING)
            yield client

    async def _order(self, client: httpx2.AsyncClient) -> None:
        body = {"user_id": 7, "total": "99.99"}
        answer = await client.post("/orders", params={"mode": self._mode}, json=body)
        self.answered.append(answer.raise_for_status().json()["order_id"])


async def _listens(client: httpx2.AsyncClient) -> bool:
    try:
        return (await client.get("/healthz")).is_success
    except httpx2.TransportError:
        return False


@pytest.mark.parametrize(
    ("mode", "points"),
    [("events", ON_ANY_WAY), ("deferred", WHERE_IT_PAYS_FIRST)],
    ids=["events", "deferred"],
)
async def test_killed_at_each_point_it_has_told_of_every_order_in_its_database_and_of_no_other(
    mode: str,
    points: tuple[str, ...],
    amqp_url: str,
    tmp_path: Path,
    unused_tcp_port: int,
    monkeypatch: pytest.MonkeyPatch,
):
    told: Counter[int] = Counter()
    delivered: Counter[int] = Counter()

    @subscribe(OrderCreated)
    async def hear(event: OrderCreated) -> None:
        told[event.order_id] += 1

    @subscribe(OrderCreated, deduplicate=False)
    async def count(event: OrderCreated) -> None:
        delivered[event.order_id] += 1

    def in_the_database() -> Counter[int]:
        with closing(sqlite3.connect(tmp_path / "order.db")) as database:
            return Counter(order_id for (order_id,) in database.execute("SELECT order_id FROM orders"))

    clerk = Clerk(mode, tmp_path, unused_tcp_port)
    monkeypatch.setenv("EVENTBUS_URL", amqp_url)
    monkeypatch.setenv("ORDER_PORT", str(unused_tcp_port))
    monkeypatch.setenv("ORDER_HELD_FOR", "0.5")
    listener = Service("listener", [hear, count])
    async with (
        gateway_running() as gateway,
        bus_to(amqp_url, store=f"sqlite:///{tmp_path / 'listener.db'}") as bus,
        bus.running(listener),
    ):
        monkeypatch.setenv("GATEWAY_URL", gateway.url)
        for point in points:
            await clerk.orders_until_it_dies(point)
        async with Process.started(PROGRAM, "never", log=tmp_path / "last.log"):
            await clerk.orders(2)
            await eventually(lambda: told == in_the_database(), within=STARTING)

    assert set(delivered) == set(told)
    assert set(clerk.answered) <= set(told)
