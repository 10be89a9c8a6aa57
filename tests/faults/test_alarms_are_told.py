"""An alarm of the broker: whoever publishes hears why, and a log that is read at night says it once."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from eventbus import Bus
from eventbus.errors import PublishTimeout
from tests.support.eventually import eventually
from tests.support.load import TYPE, bus_to
from tests.support.rabbitmq_node import RabbitNode


def lines(caplog: pytest.LogCaptureFixture, action: str) -> list[str]:
    return [line for line in caplog.messages if line.startswith(action)]


async def is_blocked(bus: Bus, caplog: pytest.LogCaptureFixture) -> bool:
    """RabbitMQ says so when something has been published. Of that nobody knows whether it arrived."""
    with suppress(PublishTimeout):
        await bus.publish(TYPE, {"order_id": 1}, timeout=1.0)
    return bool(lines(caplog, "broker.blocked"))


async def test_a_blocked_connection_is_logged_once_with_the_reason_and_again_when_it_goes_on(
    node: RabbitNode, node_url: str, caplog: pytest.LogCaptureFixture
):
    caplog.set_level("INFO", logger="eventbus.rabbitmq")
    async with bus_to(node_url) as bus:
        assert len(lines(caplog, "broker.connected")) == 1
        await asyncio.to_thread(node.ctl, "set_vm_memory_high_watermark", "0.00001")
        try:
            await eventually(lambda: is_blocked(bus, caplog), within=30)
            for _ in range(2):
                with pytest.raises(PublishTimeout, match="takes no messages: low on memory") as failed:
                    await bus.publish(TYPE, {"order_id": 1}, timeout=1.0)
                assert failed.value.sent is False, "it was not even written"
            (blocked,) = lines(caplog, "broker.blocked")
            assert "low on memory" in blocked
            assert "publishing" in blocked
        finally:
            await asyncio.to_thread(node.ctl, "set_vm_memory_high_watermark", "0.4")
        await eventually(lambda: len(lines(caplog, "broker.connected")) == 2, within=15)
        await bus.publish(TYPE, {"order_id": 1}, timeout=10.0)

    assert len(lines(caplog, "broker.blocked")) == 1


async def test_a_connection_that_is_lost_while_it_is_blocked_is_lost_and_then_connected(
    node: RabbitNode, node_url: str, caplog: pytest.LogCaptureFixture
):
    caplog.set_level("INFO", logger="eventbus.rabbitmq")
    async with bus_to(node_url) as bus:
        await asyncio.to_thread(node.ctl, "set_vm_memory_high_watermark", "0.00001")
        try:
            await eventually(lambda: is_blocked(bus, caplog), within=30)
            await asyncio.to_thread(node.ctl, "close_all_connections", "--global", "test")
            await eventually(lambda: lines(caplog, "broker.lost"), within=30)
        finally:
            await asyncio.to_thread(node.ctl, "set_vm_memory_high_watermark", "0.4")
        await eventually(
            lambda: bus.publish(TYPE, {"order_id": 1}, timeout=2.0), within=30, despite=Exception
        )

    states = [line.split()[0] for line in caplog.messages if "link=publishing" in line]
    assert states[:3] == ["broker.connected", "broker.blocked", "broker.lost"]
    assert "broker.connected" in states[3:]
