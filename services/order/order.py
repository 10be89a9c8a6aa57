"""An order: what the user asked for, and what has become of it."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from schemas.email import Mail
from schemas.order import MYSTERY_BOX, Line, Money, OrderCreated
from services.order.progress import Payment, Progress, Status, Stock


class Mode(StrEnum):
    """How much of an order is done before the user gets an answer."""

    EVENTS = "events"
    """Validation, one insert, one event: everything else happens later."""
    DEFERRED = "deferred"
    """Inventory and payment too."""
    SYNC = "sync"
    """All eight steps."""


class OrderRequest(BaseModel):
    """The body of `POST /orders`; `total` is what the shop front, which knows the prices, has shown."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    user_id: int = Field(ge=1)
    total: Money
    currency: str = Field(default="EUR", pattern=r"^[A-Z]{3}$")
    lines: tuple[Line, ...] = Field(
        default=(Line(sku=MYSTERY_BOX, quantity=1),), min_length=1, max_length=100
    )


@dataclass(frozen=True, slots=True)
class Order:
    order_id: int
    event_id: str
    """Of its `order.created`; made with the order, so that publishing it again is publishing the same."""
    user_id: int
    total: Decimal
    currency: str
    lines: tuple[Line, ...]
    charge_id: str | None
    confirmation_id: str | None
    progress: Progress
    status: Status
    """The progress's own, unless the order was refused in line and nobody heard of it."""

    def created(self) -> OrderCreated:
        """The event that tells everybody."""
        return OrderCreated(
            order_id=self.order_id,
            user_id=self.user_id,
            total=self.total,
            currency=self.currency,
            lines=self.lines,
            charge_id=self.charge_id,
            confirmation_id=self.confirmation_id,
        )


class Summary(BaseModel):
    """How many orders there are, and how many of them in which state."""

    orders: int
    status: dict[Status, int]
    payment: dict[Payment, int]
    stock: dict[Stock, int]
    mails: dict[Mail, int]
    invoices: int
    revenue: dict[str, Decimal]
    """By currency."""
