"""The whole broker goes away under load, and comes back."""

from __future__ import annotations

import asyncio
import time
from urllib.parse import urlsplit

import pytest

from tests.conformance.sizes import EVENTS_BEFORE_AND_AFTER
from tests.support.eventually import eventually
from tests.support.ledger import Ledger
from tests.support.load import SEEN, SLACK, Publishing, all_handled, auditing, bus_to
from tests.support.rabbitmq_node import SETTLING, RabbitNode

TIMEOUT = 1.0
pytestmark = pytest.mark.timeout(300)


async def test_a_broker_that_is_killed_and_restarted_under_load_loses_nothing(
    node: RabbitNode, node_url: str, ledger: Ledger
):
    async with bus_to(node_url) as bus, bus.running(auditing(ledger)):
        publishing = Publishing(bus, ledger, timeout=TIMEOUT)
        await asyncio.sleep(SETTLING)
        async with publishing.going_on():
            await publishing.confirmed(EVENTS_BEFORE_AND_AFTER, within=120)
            await asyncio.to_thread(node.kill)
            restarting = asyncio.create_task(asyncio.to_thread(node.start))
            await accepts_connections(node_url)
            accepted_at = time.monotonic()
            handled = ledger.handled[SEEN].total()
            await eventually(lambda: ledger.handled[SEEN].total() > handled, within=20)
            consuming_after = time.monotonic() - accepted_at
            await restarting
            await publishing.confirmed(EVENTS_BEFORE_AND_AFTER, within=120)
        await all_handled(ledger)

    assert consuming_after < 10.0
    assert publishing.slowest < TIMEOUT + SLACK
    assert publishing.failures
    assert set(ledger.handled[SEEN]) == set(ledger.published)


async def accepts_connections(url: str) -> None:
    at = urlsplit(url)
    async with asyncio.timeout(60):
        while True:
            try:
                _, writer = await asyncio.open_connection(at.hostname, at.port)
            except OSError:
                await asyncio.sleep(0.01)
            else:
                writer.close()
                return
