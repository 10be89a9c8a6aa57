"""Four services as separate processes, with a real gateway and a real mail server: every order ends right."""

from __future__ import annotations

import asyncio

import pytest

from services.shop import Latencies
from tests.support.eventually import eventually
from tests.support.shop import EVERYTHING, RunningShop, shop_running

pytestmark = pytest.mark.timeout(400)

UNICORN = [{"sku": "unicorn", "quantity": 1}]


async def test_an_order_ends_in_one_of_three_ways(broker_url: str | None):
    async with shop_running(broker_url) as shop:
        well = await shop.order()
        declined = await shop.order(total="20.13")
        missing = await shop.order(lines=UNICORN)

        assert await shop.ended([well, declined, missing]) == ["completed", "declined", "out_of_stock"]
        assert await shop.charges() == {well: ["captured"], declined: ["declined"], missing: ["refunded"]}
        mails = {
            well: ["confirmation"],
            declined: ["confirmation", "payment_declined"],
            missing: ["confirmation", "out_of_stock"],
        }
        await eventually(lambda: shop.mails() == mails, within=60)
        reservations = {well: "shipped", declined: "released", missing: "rejected"}
        await eventually(lambda: shop.reservations() == reservations, within=60)


async def test_what_was_done_in_line_is_not_done_again(broker_url: str | None):
    async with shop_running(broker_url) as shop:
        orders = [await shop.order("sync"), await shop.order("deferred"), await shop.order("events")]

        assert await shop.ended(orders) == ["completed"] * 3
        assert await shop.charges() == {order: ["captured"] for order in orders}
        await eventually(lambda: shop.mails() == {order: ["confirmation"] for order in orders}, within=60)


async def test_a_payment_worker_that_is_killed_in_mid_flow_costs_nobody_anything(
    url_under_faults: str | None,
):
    parts = (*EVERYTHING, "payment-2")
    async with shop_running(url_under_faults, parts=parts, latencies=Latencies(payment=0.3)) as shop:
        orders = await place_many(shop, 40)
        await eventually(lambda: at_least_charged(shop, 3), within=30)
        await shop.kill("payment")

        statuses = await shop.ended(orders, within=60)

        assert statuses == expected(40)
        assert await shop.charges() == dict(zip(orders, charged(40), strict=True))


async def test_an_order_service_that_is_killed_finds_its_orders_again(url_under_faults: str | None):
    async with shop_running(url_under_faults, latencies=Latencies(payment=0.3)) as shop:
        orders = await place_many(shop, 20)
        await eventually(lambda: at_least_charged(shop, 1), within=30)
        await shop.kill("order")
        await shop.start("order")

        assert await shop.ended(orders, within=60) == expected(20)
        assert await shop.charges() == dict(zip(orders, charged(20), strict=True))


async def test_workers_that_are_all_killed_at_once_finish_when_they_are_started_again(
    url_under_faults: str | None,
):
    async with shop_running(url_under_faults, latencies=Latencies(payment=0.3, warehouse=0.2)) as shop:
        orders = await place_many(shop, 20)
        await eventually(lambda: at_least_charged(shop, 1), within=30)
        for worker in ("payment", "email", "warehouse"):
            await shop.kill(worker)
        await shop.start("payment", "email", "warehouse")

        assert await shop.ended(orders, within=60) == expected(20)
        assert await shop.charges() == dict(zip(orders, charged(20), strict=True))
        await eventually(lambda: shop.mails() == dict(zip(orders, mailed(20), strict=True)), within=60)


async def test_a_gateway_that_fails_for_a_while_is_asked_until_it_answers(url_under_faults: str | None):
    async with shop_running(url_under_faults) as shop:
        await shop.behave(status=503, times=3, answer_lost=True)
        orders = await place_many(shop, 5)

        assert await shop.ended(orders, within=60) == expected(5)
        assert await shop.charges() == dict(zip(orders, charged(5), strict=True))


async def place_many(shop: RunningShop, count: int) -> list[int]:
    """Every fifth is declined, and the one after it out of stock."""
    bodies = [
        {"total": "20.13"} if n % 5 == 3 else {"lines": UNICORN} if n % 5 == 4 else {} for n in range(count)
    ]
    return list(await asyncio.gather(*(shop.order(**body) for body in bodies)))


def expected(count: int) -> list[str]:
    return [("completed", "completed", "completed", "declined", "out_of_stock")[n % 5] for n in range(count)]


def charged(count: int) -> list[list[str]]:
    """One charge for each order, whatever happened on the way."""
    return [[("captured", "captured", "captured", "declined", "refunded")[n % 5]] for n in range(count)]


def mailed(count: int) -> list[list[str]]:
    """What each user got to read; copies of one mail are one mail."""
    endings = (["confirmation"],) * 3 + (
        ["confirmation", "payment_declined"],
        ["confirmation", "out_of_stock"],
    )
    return [endings[n % 5] for n in range(count)]


async def at_least_charged(shop: RunningShop, count: int) -> bool:
    return len(await shop.charges()) >= count
