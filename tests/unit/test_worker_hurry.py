"""A worker in a hurry waits for no handler; what they had begun comes again."""

from __future__ import annotations

import asyncio
import gc

import pytest

from eventbus import Event, Service, subscribe, worker
from eventbus.codec import Codec
from eventbus.pipelines import Pipelines
from eventbus.registry import Registry
from eventbus.worker import Worker
from tests.support.eventually import eventually
from tests.support.handling import a_publisher, delivered
from tests.support.scripted import ScriptedTransport


class OrderCreated(Event, type="order.created"):
    pass


class Holding:
    """A running worker with one handler in the middle of its work."""

    def __init__(self) -> None:
        self.transport = ScriptedTransport()
        self.ends: list[str] = []
        service = Service("shop", [subscribe(OrderCreated, name="hold", timeout=60)(self.hold)])
        self.worker = Worker(
            [service],
            self.transport.as_transport(),
            Pipelines(a_publisher(self.transport), Codec()),
            known=Registry(),
            grace=60,
        )
        self._inside = False

    async def hold(self, event: OrderCreated) -> None:
        self._inside = True
        try:
            await asyncio.Event().wait()
        finally:
            self.ends.append("cancelled")

    async def begin(self) -> None:
        await self.worker.start()
        self.transport.consumptions[0].hand_over(delivered(OrderCreated()))
        await eventually(lambda: self._inside)


@pytest.fixture
async def holding(monkeypatch: pytest.MonkeyPatch) -> Holding:
    monkeypatch.setattr(worker, "AFTER_GRACE", 1.0)
    holding = Holding()
    await holding.begin()
    return holding


async def test_hurry_ends_the_grace_of_a_worker_that_is_stopping(holding: Holding):
    stopping = asyncio.create_task(holding.worker.stop())
    await eventually(lambda: holding.transport.consumptions[0].is_stopped)
    assert holding.ends == []

    holding.worker.hurry()
    await asyncio.wait_for(stopping, 5)

    assert holding.ends == ["cancelled"]
    assert holding.transport.consumptions[0].settled == []


async def test_who_hurries_a_worker_that_waits_for_its_broker_hears_of_no_other_trouble(
    holding: Holding, caplog: pytest.LogCaptureFixture
):
    async def never() -> None:
        await asyncio.Event().wait()

    holding.transport.consumptions[0].stop = never  # type: ignore[method-assign]
    holding.worker.hurry()
    await asyncio.wait_for(holding.worker.stop(), 5)
    await asyncio.sleep(0)
    gc.collect()

    assert "never retrieved" not in caplog.text
    assert "subscription.cut_off subscription=shop.hold hurried=True" in caplog.text


async def test_hurry_before_stop_leaves_no_grace_at_all(holding: Holding):
    holding.worker.hurry()
    assert holding.ends == []

    await asyncio.wait_for(holding.worker.stop(), 5)

    assert holding.ends == ["cancelled"]
    assert holding.transport.consumptions[0].settled == []


async def test_hurry_twice_is_hurry(holding: Holding):
    holding.worker.hurry()
    holding.worker.hurry()

    await asyncio.wait_for(holding.worker.stop(), 5)

    assert holding.ends == ["cancelled"]


async def test_a_cancelled_stop_hurries_and_has_ended_all_when_it_raises(holding: Holding):
    stopping = asyncio.create_task(holding.worker.stop())
    await eventually(lambda: holding.transport.consumptions[0].is_stopped)
    assert holding.ends == []

    stopping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(stopping, 5)

    assert holding.ends == ["cancelled"]
    assert holding.transport.consumptions[0].settled == []
    assert holding.worker.has_stopped
