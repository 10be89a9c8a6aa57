"""The broker goes away and comes back: orders are taken all the same, and every one of them ends."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tests.support.shop import shop_running

if TYPE_CHECKING:
    from tests.conftest import StartNode


async def test_orders_that_are_placed_while_the_broker_is_away_end_when_it_is_back(private_node: StartNode):
    node = await asyncio.to_thread(private_node)
    async with shop_running(node.amqp_url(), relay_after=1.0) as shop:
        before = [await shop.order() for _ in range(3)]
        await shop.ended(before)

        await asyncio.to_thread(node.stop)
        during = list(await asyncio.gather(*(shop.order() for _ in range(3))))
        assert {await shop.status(order) for order in during} == {"processing"}
        await asyncio.to_thread(node.start)

        assert await shop.ended(during, within=60) == ["completed"] * 3
        assert await shop.charges() == {order: ["captured"] for order in before + during}
        assert shop.mails() == {order: ["confirmation"] for order in before + during}
