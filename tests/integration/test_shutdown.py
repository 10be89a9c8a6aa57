"""A worker with a thousand deliveries in hand is asked to stop."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from eventbus import Bus, Context, Service, subscribe
from eventbus.settings import Settings
from tests.support.eventually import eventually
from tests.support.fault_proxy import FaultProxy

MANY = 1_000
DONE = 100
"""Of them, handlers that end before the grace does."""
GRACE = 2.0
QUEUE = "audit.seen"


@pytest.fixture(params=["file", "rabbitmq"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "file":
        return f"sqlite:///{tmp_path}/events.db"
    url: str = request.getfixturevalue("amqp_url")
    return url


async def test_a_worker_with_a_thousand_deliveries_stops_in_its_grace_and_acks_only_what_it_has_handled(
    url: str,
):
    begun: set[str] = set()
    ended: list[str] = []
    stopping = asyncio.Event()

    @subscribe("order.created", prefetch=MANY, concurrency=MANY, timeout=60)
    async def seen(event: dict[str, Any], context: Context) -> None:
        begun.add(context.envelope.event_id)
        await stopping.wait()
        if event["order_id"] >= DONE:
            await asyncio.Event().wait()
        ended.append(context.envelope.event_id)

    async with bus_to(url) as bus:
        worker = await bus.start(Service("audit", [seen]))
        publishing = (bus.publish("order.created", {"order_id": number}) for number in range(MANY))
        sent = [receipt.event_id for receipt in await asyncio.gather(*publishing)]
        await eventually(lambda: len(begun) == MANY, within=30)
        stopping.set()
        began = time.monotonic()
        await worker.stop()
        assert time.monotonic() - began < GRACE + 5

    assert sorted(ended) == sorted(sent[:DONE])
    assert await what_comes_again(url) == sorted(sent[DONE:])


async def what_comes_again(url: str) -> list[str]:
    """The ids of all that is still there for the subscription, when there is no more."""
    found: list[str] = []

    @subscribe("order.created", prefetch=MANY, name="seen", timeout=60)
    async def seen(_: dict[str, Any], context: Context) -> None:
        found.append(context.envelope.event_id)

    async def nothing_is_left() -> bool:
        (stats,) = await bus.transport.stats([QUEUE])
        return stats.ready == 0 and len(found) >= MANY - DONE

    async with bus_to(url) as bus, bus.running(Service("audit", [seen])):
        await eventually(nothing_is_left, within=30)
    return sorted(found)


def bus_to(url: str) -> Bus:
    return Bus(url, source="shop", settings=Settings(shutdown_grace=GRACE))


@pytest.mark.parametrize("hangs", [False, True])
async def test_a_worker_whose_broker_says_nothing_stops_in_its_grace_and_ten_seconds(
    amqp_url: str, *, hangs: bool
):
    begun = asyncio.Event()

    @subscribe("order.created", timeout=60)
    async def seen(_: dict[str, Any]) -> None:
        begun.set()
        await asyncio.Event().wait()

    async with FaultProxy.between(amqp_url) as (proxy, url):
        async with bus_to(url) as bus:
            worker = await bus.start(Service("audit", [seen]))
            if hangs:
                await bus.publish("order.created", {"order_id": 1})
                await begun.wait()
            proxy.black_hole()
            began = time.monotonic()
            await worker.stop()
        assert time.monotonic() - began < GRACE + 10 + 3
