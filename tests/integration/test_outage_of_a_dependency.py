"""What a handler depends on goes away under load, and comes back."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from eventbus import Bus, Event, RetryPolicy, Service, subscribe
from eventbus.settings import Settings
from tests.support.eventually import eventually


class Ordered(Event, type="outage.ordered"):
    order_id: int


@pytest.fixture(params=["embedded", "rabbitmq"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "rabbitmq":
        return str(request.getfixturevalue("amqp_url"))
    return f"sqlite:///{tmp_path / 'events.db'}"


async def test_an_outage_of_what_a_handler_depends_on_uses_up_no_attempts(url: str):
    charged: list[int] = []
    calls_while_away = 0
    is_away = True

    # Two attempts, half a second apart: without the pause every event would soon be a dead letter.
    @subscribe(Ordered, retry=RetryPolicy(max_attempts=2, first=0.5, jitter=False), concurrency=5)
    async def charge(event: Ordered) -> None:
        nonlocal calls_while_away
        if is_away:
            calls_while_away += 1
            raise ConnectionError("no gateway there")
        charged.append(event.order_id)

    service = Service("outage", [charge])
    settings = Settings(url=url, pause_after=3, shutdown_grace=5)
    async with Bus(url, source="test", settings=settings) as bus, bus.running(service):
        await bus.publish_many([Ordered(order_id=number) for number in range(40)])
        # Until far more time has passed than two attempts take; the pauses between the probes grow.
        await eventually(lambda: calls_while_away >= 6, within=20)
        is_away = False
        await eventually(lambda: len(set(charged)) == 40, within=30)

        assert sorted(charged) == list(range(40))
        assert await bus.transport.dead_letters("outage.charge", limit=10) == []


async def test_a_paused_subscription_stops_at_once_and_its_events_stay(url: str):
    calls = 0

    @subscribe(Ordered, concurrency=5)
    async def charge(_event: Ordered) -> None:
        nonlocal calls
        calls += 1
        raise ConnectionError("no gateway there")

    service = Service("outage", [charge])
    settings = Settings(url=url, pause_after=3, shutdown_grace=30)
    async with Bus(url, source="test", settings=settings) as bus:
        async with bus.running(service):
            await bus.publish_many([Ordered(order_id=number) for number in range(10)])
            await eventually(lambda: calls >= 6, within=20)
            stopping = asyncio.get_running_loop().time()
        assert asyncio.get_running_loop().time() - stopping < 5

        charged: list[int] = []

        @subscribe(Ordered, name="charge")
        async def charge_again(event: Ordered) -> None:
            charged.append(event.order_id)

        async with bus.running(Service("outage", [charge_again])):
            await eventually(lambda: sorted(charged) == list(range(10)), within=20)
