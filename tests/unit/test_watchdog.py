"""The thread that names what blocks the event loop."""

from __future__ import annotations

import asyncio
import logging
import time

import pytest

from eventbus import Service, subscribe
from eventbus.testing import TestBus
from eventbus.watchdog import Watchdog
from tests.support.eventually import eventually


async def block(told: list[logging.LogRecord], and_on: float = 0.0) -> None:
    """Until somebody has told, in a list that is asked without a call, and for so many seconds more."""
    ends = time.monotonic() + 30
    while not told and time.monotonic() < ends:
        time.sleep(0.05)  # noqa: ASYNC251 -- the mistake that is to be found
    time.sleep(and_on)  # noqa: ASYNC251 -- the same


@pytest.fixture
def watched(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.WARNING, "eventbus.watchdog")
    return caplog


async def test_a_handler_that_blocks_the_loop_is_named_with_its_subscription_and_its_line(
    watched: pytest.LogCaptureFixture,
) -> None:
    dog = Watchdog(limit=0.1)
    dog.start()
    await asyncio.create_task(block(watched.handler.records), name="payment.charge_order")
    dog.stop()

    message = await eventually(lambda: watched.messages and watched.messages[0])
    assert "loop.blocked" in message
    assert "subscription=payment.charge_order" in message
    assert "test_watchdog.py" in message
    assert "block" in message


async def test_one_long_block_is_told_once(watched: pytest.LogCaptureFixture) -> None:
    dog = Watchdog(limit=0.05)
    dog.start()
    await asyncio.create_task(block(watched.handler.records, and_on=0.5), name="payment.charge_order")
    dog.stop()

    assert len(watched.messages) == 1


async def test_a_loop_that_turns_is_left_in_peace(watched: pytest.LogCaptureFixture) -> None:
    dog = Watchdog(limit=2.0)
    dog.start()
    turns = 0

    def turn() -> bool:
        nonlocal turns
        turns += 1
        return turns > 20

    await eventually(turn)
    dog.stop()

    assert watched.messages == []


async def test_it_ends_with_its_loop(watched: pytest.LogCaptureFixture) -> None:
    def watch_a_short_life() -> None:
        async def start() -> None:
            Watchdog(limit=0.02).start()

        asyncio.run(start())

    await asyncio.to_thread(watch_a_short_life)
    assert watched.messages == []


async def test_a_worker_keeps_watch_over_its_handlers(watched: pytest.LogCaptureFixture) -> None:
    @subscribe("order.created")
    async def charge_order(event: dict[str, object]) -> None:
        await block(watched.handler.records)

    async with TestBus(Service("payment", [charge_order])) as bus:
        await bus.publish("order.created", {})

    message = await eventually(lambda: watched.messages and watched.messages[0])
    assert "loop.blocked" in message
    assert "subscription=payment.charge_order" in message
