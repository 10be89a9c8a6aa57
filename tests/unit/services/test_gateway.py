"""The payment service's client of the gateway: one error for each thing that can be done next."""

from __future__ import annotations

import socket
import time
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from services.payment.gateway import (
    ChargeDeclined,
    Gateway,
    GatewayBusy,
    GatewayRefused,
    GatewayUnavailable,
    delay_for,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.outside import RunningGateway


@pytest.fixture
async def client(gateway: RunningGateway) -> AsyncIterator[Gateway]:
    async with Gateway.open(gateway.url, timeout=2.0) as opened:
        yield opened


async def charge(client: Gateway, amount: str = "99.99", key: str = "order-1") -> str:
    return await client.charge(
        amount=Decimal(amount), currency="EUR", customer="789", reference="order-1", idempotency_key=key
    )


async def test_a_charge_gives_its_id_and_the_same_one_again(client: Gateway, gateway: RunningGateway):
    assert await charge(client) == await charge(client)
    assert len(await gateway.charges()) == 1


async def test_a_decline_says_why(client: Gateway):
    with pytest.raises(ChargeDeclined) as declined:
        await charge(client, "1.13")
    assert declined.value.reason == "insufficient_funds"


@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_a_failing_gateway_is_unavailable(client: Gateway, gateway: RunningGateway, status: int):
    await gateway.behave(status=status)

    with pytest.raises(GatewayUnavailable, match=str(status)):
        await charge(client)


async def test_a_busy_gateway_is_left_alone_for_120_seconds_unless_it_says_how_long(
    client: Gateway, gateway: RunningGateway
):
    await gateway.behave(status=429)
    with pytest.raises(GatewayBusy) as silent:
        await charge(client)
    await gateway.behave(status=429, retry_after=7)
    with pytest.raises(GatewayBusy) as told:
        await charge(client)

    assert (delay_for(silent.value), delay_for(told.value)) == (120.0, 7.0)
    assert delay_for(GatewayUnavailable("down")) is None


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409])
async def test_any_other_refusal_is_for_good(client: Gateway, gateway: RunningGateway, status: int):
    await gateway.behave(status=status)

    with pytest.raises(GatewayRefused) as refused:
        await charge(client)
    assert refused.value.status == status


async def test_a_gateway_that_does_not_answer_is_given_up_within_the_timeout():
    began = time.monotonic()

    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        async with Gateway.open(url, timeout=0.2) as client:
            with pytest.raises(GatewayUnavailable):
                await charge(client)

    assert time.monotonic() - began < 10


async def test_a_gateway_that_is_not_there_is_unavailable(unused_tcp_port: int):
    async with Gateway.open(f"http://127.0.0.1:{unused_tcp_port}", timeout=2.0) as client:
        with pytest.raises(GatewayUnavailable):
            await charge(client)


async def test_a_refund_is_in_the_books(client: Gateway, gateway: RunningGateway):
    charge_id = await charge(client)

    await client.refund(charge_id)
    await client.refund(charge_id)

    assert await gateway.statuses() == ["refunded"]
