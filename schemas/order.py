"""What the order service tells: an order exists, and how it ended."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from eventbus import Event, upcast

Money = Annotated[Decimal, Field(ge=0, max_digits=14, decimal_places=2)]
Sku = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[a-z0-9][a-z0-9-]*$")]

MYSTERY_BOX: Final = "mystery-box"
"""The one product that the shop sold when version 1.0 was written."""


class Line(BaseModel):
    """So many units of one product."""

    model_config = ConfigDict(frozen=True)

    sku: Sku
    quantity: int = Field(ge=1, le=1000)


class OrderCreatedV1(Event, type="order.created", version="1.0"):
    """An order for one mystery box, paid in euro."""

    order_id: int
    user_id: int
    total: Money


class OrderCreated(Event, type="order.created", version="2.0"):
    """An order exists. It carries all that payment, email and warehouse need: nobody has to ask back.

    (Event-carried state transfer: subscribers work even while the order service is away.)
    """

    order_id: int
    user_id: int
    total: Money
    currency: str = Field(pattern=r"^[A-Z]{3}$")
    lines: tuple[Line, ...] = Field(min_length=1)
    charge_id: str | None = None
    """The payment, where it was taken before this was published: it is not to be taken again."""
    confirmation_id: str | None = None
    """The Message-ID of the confirmation, where it was mailed before: it is not to be mailed again."""


@upcast
def order_created_1_to_2(old: OrderCreatedV1) -> OrderCreated:
    """Version 1.0 did not say what was ordered, because there was one product and one currency."""
    return OrderCreated(
        order_id=old.order_id,
        user_id=old.user_id,
        total=old.total,
        currency="EUR",
        lines=(Line(sku=MYSTERY_BOX, quantity=1),),
    )


class OrderCompleted(Event, type="order.completed", version="1.0"):
    """The order is paid, reserved and confirmed.

    (Event notification, ids only: who wants to know more has it already, like the warehouse, or asks
    `GET /orders/{order_id}`.)
    """

    order_id: int


class OrderCancelled(Event, type="order.cancelled", version="1.0"):
    """The order ended without a sale: nothing is held, no money is kept, and the user has been told."""

    order_id: int
    reason: Literal["declined", "out_of_stock"]
