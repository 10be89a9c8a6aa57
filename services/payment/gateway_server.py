"""A payment gateway to develop against: real HTTP, real idempotency keys, and faults on demand.

    GATEWAY_PORT=8091 python -m services.payment.gateway_server

    POST /charges              {"amount": "99.99", "currency": "EUR", "customer": "7", "reference": "order-1"}
                               with the header Idempotency-Key. 201: taken; 200: taken before under this key;
                               402: declined; 422: the key belongs to another charge
    POST /charges/{id}/refund  200, as often as it is asked
    GET  /charges              the books
    PUT  /admin/behaviour      how it behaves from now on: see `Behaviour`

Amounts that end in .13 are declined, like the test cards of real gateways.
"""

from __future__ import annotations

import asyncio
import os
import time
from http import HTTPStatus
from typing import Annotated, Any, Final

import uvicorn
from fastapi import FastAPI, Header, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from services.payment.ledger import (
    CARD_DECLINED,
    NO_FUNDS,
    Charge,
    ChargeRequest,
    KeyReused,
    Ledger,
    UnknownCharge,
)

UNLUCKY_CENTS: Final = ".13"


class Behaviour(BaseModel):
    """How the gateway treats charges and refunds until it is told otherwise; as it stands here, it works.

    `latency` in seconds. With `status`, the next `times` calls fail with it, or all calls for `seconds`, or
    all of them. With `answer_lost` a failing call has done its work before it fails, which is the case that
    idempotency keys exist for. `retry_after` in seconds is told in the header of that name.
    """

    latency: float = Field(default=0.0, ge=0, le=600)
    status: int | None = Field(default=None, ge=400, le=599)
    times: int | None = Field(default=None, ge=1)
    seconds: float | None = Field(default=None, gt=0)
    retry_after: int | None = Field(default=None, ge=0)
    answer_lost: bool = False
    declined_customers: frozenset[str] = frozenset()


class GatewayServer:
    """Its endpoints as methods; the state is the ledger and the behaviour."""

    def __init__(self, ledger: Ledger, behaviour: Behaviour | None = None) -> None:
        self._ledger = ledger
        self._behaviour = behaviour or Behaviour()
        self._behaves_since = time.monotonic()
        self._failed = 0

    def app(self) -> FastAPI:
        app = FastAPI(title="Payment gateway for development")
        app.add_api_route("/charges", self.charge, methods=["POST"], response_model=Charge)
        app.add_api_route("/charges/{charge_id}/refund", self.refund, methods=["POST"], response_model=Charge)
        app.add_api_route("/charges", self.charges, methods=["GET"])
        app.add_api_route("/admin/behaviour", self.behave, methods=["PUT"])
        app.add_api_route("/healthz", self.health, methods=["GET"])
        app.add_exception_handler(UnknownCharge, _unknown_charge)
        app.add_exception_handler(KeyReused, _key_reused)
        return app

    async def charge(
        self,
        request: ChargeRequest,
        idempotency_key: Annotated[str, Header(min_length=1, max_length=255)],
    ) -> Response:
        await asyncio.sleep(self._behaviour.latency)
        fault = self._fault()
        if fault is not None and not self._behaviour.answer_lost:
            return fault
        charge, new = self._ledger.charge(request, idempotency_key, decline=self._refusal(request))
        if fault is not None:
            return fault
        if charge.status == "declined":
            return _answer(402, error=str(charge.reason), charge_id=charge.charge_id)
        return JSONResponse(charge.model_dump(mode="json"), status_code=201 if new else 200)

    async def refund(self, charge_id: str) -> Response:
        await asyncio.sleep(self._behaviour.latency)
        fault = self._fault()
        if fault is not None and not self._behaviour.answer_lost:
            return fault
        charge = self._ledger.refund(charge_id)
        return fault or JSONResponse(charge.model_dump(mode="json"))

    async def charges(self) -> list[Charge]:
        return self._ledger.charges()

    async def behave(self, behaviour: Behaviour) -> Behaviour:
        self._behaviour = behaviour
        self._behaves_since = time.monotonic()
        self._failed = 0
        return behaviour

    async def health(self) -> dict[str, str]:
        return {"status": "ready"}

    def _fault(self) -> Response | None:
        """The failure that this call is to have, counted."""
        wanted = self._behaviour
        if wanted.status is None:
            return None
        if wanted.times is not None and self._failed >= wanted.times:
            return None
        if wanted.seconds is not None and time.monotonic() - self._behaves_since > wanted.seconds:
            return None
        self._failed += 1
        response = _answer(wanted.status, error=HTTPStatus(wanted.status).phrase)
        if wanted.retry_after is not None:
            response.headers["Retry-After"] = str(wanted.retry_after)
        return response

    def _refusal(self, request: ChargeRequest) -> str | None:
        if f"{request.amount:.2f}".endswith(UNLUCKY_CENTS):
            return NO_FUNDS
        return CARD_DECLINED if request.customer in self._behaviour.declined_customers else None


def _answer(status: int, **members: Any) -> JSONResponse:
    return JSONResponse(members, status_code=status)


async def _unknown_charge(_: Request, error: Exception) -> Response:
    return _answer(404, error="unknown_charge", charge_id=str(error))


async def _key_reused(_: Request, error: Exception) -> Response:
    return _answer(422, error="idempotency_key_reused", idempotency_key=str(error))


def main() -> None:
    ledger = Ledger(os.environ.get("GATEWAY_DATABASE", ":memory:"))
    latency = float(os.environ.get("GATEWAY_LATENCY", "0"))
    uvicorn.run(
        GatewayServer(ledger, Behaviour(latency=latency)).app(),
        host=os.environ.get("GATEWAY_HOST", "127.0.0.1"),
        port=int(os.environ.get("GATEWAY_PORT", "8091")),
        log_level="warning",
        timeout_graceful_shutdown=5,
    )


if __name__ == "__main__":
    main()
