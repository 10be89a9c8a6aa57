"""The client of the payment gateway: bounded in time, and one error for each thing that can be done next."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import httpx2
from pydantic import TypeAdapter

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from decimal import Decimal

BUSY_DELAY: Final = 120.0
"""Seconds to leave a gateway alone that answered 429 without saying how long."""


class GatewayError(Exception):
    """The gateway did not do what it was asked."""


class GatewayUnavailable(GatewayError):
    """No answer in time, or a 5xx: it may have been done. Ask again with the same idempotency key."""


class GatewayBusy(GatewayError):
    """It answered 429: ask again after `retry_after` seconds."""

    def __init__(self, retry_after: float) -> None:
        self.retry_after = retry_after
        super().__init__(f"the gateway asks to be left alone for {retry_after:g} s")


class GatewayRefused(GatewayError):
    """Another 4xx: the call itself is wrong, and will be wrong the next time."""

    def __init__(self, status: int, answer: str) -> None:
        self.status = status
        self.answer = answer
        super().__init__(f"the gateway answered {status}: {answer}")


class ChargeDeclined(GatewayError):
    """It answered 402: the customer's bank says no, for good; `reason` is the gateway's word for it."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"declined: {reason}")


@dataclass(frozen=True, slots=True)
class Gateway:
    """Charges and refunds; both may be asked any number of times and happen once."""

    client: httpx2.AsyncClient
    timeout: float

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str, *, timeout: float) -> AsyncGenerator[Gateway]:
        """`timeout` in seconds bounds one call from its start to the last byte of the answer."""
        async with httpx2.AsyncClient(base_url=url, timeout=timeout) as client:
            yield cls(client, timeout)

    async def charge(
        self, *, amount: Decimal, currency: str, customer: str, reference: str, idempotency_key: str
    ) -> str:
        """The charge id; raises `ChargeDeclined` or another `GatewayError`."""
        answer = await self._post(
            "/charges",
            json={
                "amount": str(amount),
                "currency": currency,
                "customer": customer,
                "reference": reference,
            },
            headers={"Idempotency-Key": idempotency_key},
        )
        if "charge_id" not in answer:
            raise GatewayUnavailable(f"an answer that no gateway gives: {answer}")
        return str(answer["charge_id"])

    async def refund(self, charge_id: str) -> None:
        await self._post(f"/charges/{charge_id}/refund", json={}, headers={})

    async def _post(self, path: str, *, json: dict[str, str], headers: dict[str, str]) -> dict[str, Any]:
        try:
            async with asyncio.timeout(self.timeout):
                response = await self.client.post(path, json=json, headers=headers)
        except (httpx2.HTTPError, TimeoutError) as error:
            raise GatewayUnavailable(f"no answer from the gateway: {error!r}") from error
        if response.is_success:
            return _members(response)
        raise _problem(response)


def delay_for(error: Exception) -> float | None:
    """For a `RetryPolicy`: a busy gateway says itself when to come back; else the policy's own rule."""
    return error.retry_after if isinstance(error, GatewayBusy) else None


def _problem(response: httpx2.Response) -> GatewayError:
    match response.status_code:
        case HTTPStatus.PAYMENT_REQUIRED:
            return ChargeDeclined(str(_members(response).get("error", "declined")))
        case HTTPStatus.TOO_MANY_REQUESTS:
            return GatewayBusy(_retry_after(response))
        case status if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return GatewayUnavailable(f"the gateway answered {status}")
        case status:
            return GatewayRefused(status, response.text[:200])


def _retry_after(response: httpx2.Response) -> float:
    told = response.headers.get("Retry-After", "")
    return float(told) if told.isdigit() else BUSY_DELAY


def _members(response: httpx2.Response) -> dict[str, Any]:
    """The JSON object of an answer; empty where something on the way, such as a proxy, answered instead."""
    try:
        return _JSON_OBJECT.validate_json(response.content)
    except ValueError:
        return {}


_JSON_OBJECT: Final[TypeAdapter[dict[str, Any]]] = TypeAdapter(dict[str, Any])
