"""The broker goes away and comes back: orders are taken all the same, and every one of them ends."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.support.eventually import eventually
from tests.support.shop import shop_running

if TYPE_CHECKING:
    from tests.support.rabbitmq_node import RabbitNode

pytestmark = pytest.mark.timeout(400)


async def test_orders_that_are_placed_while_the_broker_is_away_end_when_it_is_back(
    node: RabbitNode, node_url: str
):
    async with shop_running(node_url) as shop:
        before = [await shop.order() for _ in range(3)]
        await shop.ended(before, within=180)

        await asyncio.to_thread(node.stop)
        during = list(await asyncio.gather(*(shop.order() for _ in range(3))))
        assert {await shop.status(order) for order in during} == {"processing"}
        await asyncio.to_thread(node.start)

        assert await shop.ended(during, within=180) == ["completed"] * 3
        assert await shop.charges() == {order: ["captured"] for order in before + during}
        await eventually(
            lambda: shop.mails() == {order: ["confirmation"] for order in before + during}, within=60
        )


async def test_an_order_service_that_starts_without_the_broker_takes_orders_and_is_ready_when_it_is_there(
    node: RabbitNode, node_url: str
):
    async with shop_running(node_url) as shop:
        for name in ("order", "payment"):
            await shop.kill(name)
        await asyncio.to_thread(node.stop)

        await shop.start("order")
        orders = [await shop.order() for _ in range(3)]
        answer = await shop.client.get("/readyz")
        assert (answer.status_code, answer.json()["status"]) == (503, "not ready")
        assert "guest:guest" not in answer.text
        await asyncio.to_thread(node.start)

        async def ready() -> bool:
            return (await shop.client.get("/readyz")).status_code == 200

        await eventually(ready, within=180)
        await shop.start("payment")
        assert await shop.ended(orders, within=180) == ["completed"] * 3
