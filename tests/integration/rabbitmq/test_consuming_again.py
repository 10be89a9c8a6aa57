"""A consumption that begins again: while the broker is away, what it tells, and when it gives up."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
import structlog

from eventbus.errors import BrokerUnreachable
from eventbus.transport import Topology
from tests.integration.rabbitmq.scene import CHARGE, PATIENCE, an_event, ids, opened_at, send, take
from tests.support.eventually import eventually
from tests.support.fault_proxy import FaultProxy

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from eventbus.rabbitmq import RabbitMQTransport


def problems(logs: list[MutableMapping[str, Any]]) -> list[str]:
    return [line["problem"] for line in logs if line["event"] == "consumption.failed"]


async def test_closing_while_the_broker_is_away_ends_an_iteration_that_waits(amqp_url: str) -> None:
    async with FaultProxy.between(amqp_url) as (proxy, url), opened_at(url) as transport:
        await transport.apply(Topology((CHARGE,)))
        with structlog.testing.capture_logs() as logs:
            async with transport.consume(CHARGE.name, prefetch=10) as consumption:
                waiting = asyncio.ensure_future(anext(aiter(consumption)))
                await proxy.close()
                await eventually(lambda: problems(logs), within=PATIENCE)
                await transport.close()
                with pytest.raises(StopAsyncIteration):
                    await asyncio.wait_for(waiting, PATIENCE)


async def test_an_error_that_nobody_foresaw_is_told_and_consuming_comes_back(
    amqp_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(**_: object) -> None:
        raise ZeroDivisionError("odd")

    async with FaultProxy.between(amqp_url) as (proxy, url), opened_at(url) as transport:
        await transport.apply(Topology((CHARGE,)))
        with structlog.testing.capture_logs() as logs:
            async with transport.consume(CHARGE.name, prefetch=10) as consumption:
                with monkeypatch.context() as patch:
                    patch.setattr(transport._consuming, "channel", fails)
                    proxy.cut()
                    await eventually(lambda: problems(logs) == ["ZeroDivisionError: odd"], within=PATIENCE)
                await eventually(lambda: send_one(transport), within=PATIENCE, despite=BrokerUnreachable)
                assert "evt_1" in ids(await take(consumption, 1))


async def send_one(transport: RabbitMQTransport) -> bool:
    await send(transport, an_event(1))
    return True
