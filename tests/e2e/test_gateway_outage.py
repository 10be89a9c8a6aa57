"""The payment gateway is away while orders keep coming."""

from __future__ import annotations

import asyncio
import time

from eventbus import Bus
from eventbus.settings import Settings
from services.payment.main import service as payment
from tests.conformance.sizes import GATEWAY_AWAY
from tests.support.shop import shop_running

EACH = 0.1
"""Seconds between two orders."""


async def test_all_orders_of_an_outage_are_paid_after_it_and_none_dies_of_it(amqp_url: str):
    async with shop_running(amqp_url) as shop:
        orders = [await shop.order()]
        await shop.ended(orders)
        await shop.behave(status=503, seconds=GATEWAY_AWAY)
        began = time.monotonic()
        while time.monotonic() < began + GATEWAY_AWAY:
            orders.append(await shop.order())
            await asyncio.sleep(EACH)

        # The pauses between two tries had grown by then, and the worker had fetched no more than it can hold.
        assert await shop.ended(orders, within=90) == ["completed"] * len(orders)
        assert await shop.charges() == {order: ["captured"] for order in orders}
        async with Bus(amqp_url, source="test", settings=Settings(url=amqp_url)) as bus:
            for member in payment:
                assert await bus.transport.dead_letters(member.queue, limit=10) == []
