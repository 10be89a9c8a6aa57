"""Taking the payment in line, for `?mode=deferred` and `?mode=sync`.

The idempotency key is the order's, and the payment service uses the same: whoever asks second gets the
charge that is there.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

import httpx2

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from services.order.order import Order


class Declined(Exception):
    """The customer's bank says no; `reason` is the gateway's word for it."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"declined: {reason}")


class NotNow(Exception):
    """An outside part did not do it, or did not say that it did. The events will see to it later."""


@dataclass(frozen=True, slots=True)
class Cashier:
    _client: httpx2.AsyncClient
    _timeout: float

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str, *, timeout: float) -> AsyncGenerator[Cashier]:
        """`timeout` in seconds bounds one call from its start to the last byte of the answer."""
        async with httpx2.AsyncClient(base_url=url, timeout=timeout) as client:
            yield cls(client, timeout)

    async def charge(self, order: Order) -> str:
        """The charge id; raises `Declined` or `NotNow`."""
        reference = f"order-{order.order_id}"
        headers = {"Idempotency-Key": reference}
        body = {
            "amount": str(order.total),
            "currency": order.currency,
            "customer": str(order.user_id),
            "reference": reference,
        }
        try:
            async with asyncio.timeout(self._timeout):
                response = await self._client.post("/charges", json=body, headers=headers)
            answer = response.json()
        except (httpx2.HTTPError, TimeoutError, ValueError) as error:
            raise NotNow(f"no answer from the gateway: {error!r}") from error
        if response.status_code == HTTPStatus.PAYMENT_REQUIRED:
            raise Declined(answer["error"])
        if not response.is_success:
            raise NotNow(f"the gateway answered {response.status_code}")
        return str(answer["charge_id"])
