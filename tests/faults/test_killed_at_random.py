"""Every event comes three times, to two workers that are killed in turns: each has its effect once."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections import Counter
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from eventbus import Envelope, Event
from eventbus.ids import new_event_id
from schemas.order import Line, OrderCreated
from tests.conformance.process import Process
from tests.conformance.sizes import ORDERS_OVER_KILLS as ORDERS
from tests.faults.crash_program import STORE, Asked
from tests.support.eventually import eventually
from tests.support.handling import wrapped
from tests.support.load import bus_to
from tests.support.shop import shop_running

KILLS = 5
BETWEEN = 2.0
"""Seconds between two kills, in which the next orders come."""


def three_times(events: list[Event], chance: random.Random) -> list[list[Envelope[Event]]]:
    """In a random order, in as many parts as there are kills."""
    copies: list[Envelope[Event]] = [wrapped(event, event_id=new_event_id()) for event in events] * 3
    chance.shuffle(copies)
    return [copies[part::KILLS] for part in range(KILLS)]


@dataclass
class Workers:
    """Processes with a transactional handler, by name."""

    url: str
    place: Path
    running: dict[str, AsyncExitStack] = field(default_factory=dict[str, AsyncExitStack])

    async def start(self, name: str) -> None:
        stack = self.running[name] = AsyncExitStack()
        command = ("tests.faults.crash_program", self.url, "transactional", "never")
        log = self.place / f"{name}.log"
        process = await stack.enter_async_context(Process.started(*command, log=log))
        await process.says("ready", within=30)

    async def kill(self, name: str) -> None:
        await self.running.pop(name).aclose()

    def effects(self) -> Counter[int]:
        with closing(sqlite3.connect(self.place / STORE)) as database:
            return Counter(number for (number,) in database.execute("SELECT number FROM effect"))


async def test_in_a_transaction_each_order_is_one_row_without_a_constraint(amqp_url: str, tmp_path: Path):
    chance = random.Random(4)
    names = ("one", "two")
    workers = Workers(amqp_url, tmp_path)
    async with bus_to(amqp_url, store="memory://") as bus, AsyncExitStack() as stack:
        for name in names:
            await workers.start(name)
            stack.push_async_callback(workers.kill, name)
        for part in three_times([Asked(number=number) for number in range(ORDERS)], chance):
            await bus.publish_many(part)
            await asyncio.sleep(BETWEEN)
            name = chance.choice(names)
            await workers.kill(name)
            await workers.start(name)

        async def is_done() -> bool:
            (stats,) = await bus.transport.stats(["crash.work"])
            return stats.ready == 0 and len(workers.effects()) == ORDERS

        await eventually(is_done, within=60)

    assert workers.effects() == Counter(range(ORDERS))


async def test_with_the_inbox_and_a_key_the_gateway_charges_each_order_once(amqp_url: str):
    chance = random.Random(5)
    workers = ("payment", "payment-2")
    async with shop_running(amqp_url, parts=("gateway", *workers)) as shop:
        events: list[Event] = [
            OrderCreated(
                order_id=number,
                user_id=7,
                total=Decimal("99.99"),
                currency="EUR",
                lines=(Line(sku="print", quantity=1),),
            )
            for number in range(1, ORDERS + 1)
        ]
        async with bus_to(amqp_url, store="memory://") as bus:
            for part in three_times(events, chance):
                await bus.publish_many(part)
                await asyncio.sleep(BETWEEN)
                name = chance.choice(workers)
                await shop.kill(name)
                await shop.start(name)

            async def is_done() -> bool:
                (stats,) = await bus.transport.stats(["payment.charge_order"])
                return stats.ready == 0 and len(await shop.charges()) == ORDERS

            await eventually(is_done, within=90)

        assert await shop.charges() == {number: ["captured"] for number in range(1, ORDERS + 1)}
