"""The order service as seen from outside.

Over HTTP, with JSON:

    POST /orders?mode=events|deferred|sync   {"user_id": 789, "total": "99.99"}
    GET  /orders/{order_id}                  how far it is
    GET  /orders/{order_id}/invoice          a PDF, once the order is completed
    GET  /orders                             how many there are in which state, and the newest
    GET  /healthz                            answers once orders can be placed
    GET  /readyz                             503 until the broker was reached and the subscriptions run

Money is a decimal number in a string.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated

from fastapi import FastAPI, HTTPException, Query, Response
from pydantic import BaseModel

from eventbus import Opening
from schemas.email import Mail
from schemas.order import Line
from services.order.books import Books
from services.order.charging import Declined
from services.order.order import Mode, Order, OrderRequest, Summary
from services.order.orders import Orders
from services.order.placing import OutOfStock, Placing
from services.order.progress import Payment, Status, Stock


class Placed(BaseModel):
    """The answer to `POST /orders`; `duration_ms` is what the user waited for it."""

    order_id: int
    status: Status
    mode: Mode
    duration_ms: float


class Shown(BaseModel):
    """An order as users see it."""

    order_id: int
    user_id: int
    total: Decimal
    currency: str
    lines: tuple[Line, ...]
    status: Status
    payment: Payment
    stock: Stock
    mails: tuple[Mail, ...]


class Overview(BaseModel):
    summary: Summary
    newest: list[Shown]


@dataclass(frozen=True, slots=True)
class Api:
    """The endpoints as methods, so that what they need comes in through the constructor."""

    orders: Orders
    books: Books
    placing: Placing
    opening: Opening

    def app(self) -> FastAPI:
        app = FastAPI(title="Orders", summary="Respond fast, work happens later")
        app.add_api_route("/orders", self.place, methods=["POST"], status_code=202, response_model=Placed)
        app.add_api_route("/orders", self.overview, methods=["GET"], response_model=Overview)
        app.add_api_route("/orders/{order_id}", self.show, methods=["GET"], response_model=Shown)
        app.add_api_route("/orders/{order_id}/invoice", self.invoice, methods=["GET"])
        app.add_api_route("/healthz", self.health, methods=["GET"])
        app.add_api_route("/readyz", self.ready, methods=["GET"])
        return app

    async def place(self, request: OrderRequest, response: Response, mode: Mode = Mode.EVENTS) -> Placed:
        began = time.perf_counter()
        try:
            order = await self.placing.place(request, mode)
        except Declined as declined:
            raise HTTPException(402, {"error": "declined", "reason": declined.reason}) from None
        except OutOfStock as lacking:
            raise HTTPException(409, {"error": "out_of_stock", "missing": lacking.missing}) from None
        response.headers["Location"] = f"/orders/{order.order_id}"
        return Placed(
            order_id=order.order_id,
            status=order.status,
            mode=mode,
            duration_ms=round((time.perf_counter() - began) * 1000, 1),
        )

    async def overview(self, newest: Annotated[int, Query(ge=0, le=1000)] = 20) -> Overview:
        return Overview(
            summary=await self.orders.summary(),
            newest=[_shown(order) for order in await self.orders.newest(newest)],
        )

    async def show(self, order_id: int) -> Shown:
        order = await self.orders.get(order_id)
        if order is None:
            raise HTTPException(404, f"there is no order {order_id}")
        return _shown(order)

    async def invoice(self, order_id: int) -> Response:
        pdf = await self.books.invoice(order_id)
        if pdf is None:
            raise HTTPException(404, f"there is no invoice of order {order_id}, or not yet")
        return Response(pdf, media_type="application/pdf")

    async def health(self) -> dict[str, str]:
        return {"status": "ready"}

    async def ready(self, response: Response) -> dict[str, str]:
        if self.opening.problem is None:
            return {"status": "ready"}
        response.status_code = 503
        return {"status": "not ready", "problem": self.opening.problem}


def _shown(order: Order) -> Shown:
    return Shown(
        order_id=order.order_id,
        user_id=order.user_id,
        total=order.total,
        currency=order.currency,
        lines=order.lines,
        status=order.status,
        payment=order.progress.payment,
        stock=order.progress.stock,
        mails=tuple(sorted(order.progress.mails)),
    )
