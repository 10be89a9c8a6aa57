"""What the payment service tells about the money of an order."""

from __future__ import annotations

from eventbus import Event
from schemas.order import Money


class PaymentCaptured(Event, type="payment.captured", version="1.0"):
    """The order is paid; `charge_id` is the gateway's."""

    order_id: int
    charge_id: str
    amount: Money
    currency: str


class PaymentDeclined(Event, type="payment.declined", version="1.0"):
    """The gateway refused to take the money; `reason` is its own, such as `insufficient_funds`."""

    order_id: int
    user_id: int
    amount: Money
    currency: str
    reason: str


class PaymentVoided(Event, type="payment.voided", version="1.0"):
    """The money that was taken for an order went back, because the order could not be kept."""

    order_id: int
    charge_id: str
    amount: Money
    currency: str
