"""The facts that the services of the shop tell each other: all that they have in common.

Each module belongs to the service that publishes its events; anybody may subscribe to them.
"""

from __future__ import annotations

from schemas.email import EmailSent, Mail
from schemas.order import Line, OrderCancelled, OrderCompleted, OrderCreated, OrderCreatedV1
from schemas.payment import PaymentCaptured, PaymentDeclined, PaymentVoided
from schemas.warehouse import StockRejected, StockReleased, StockReserved, StockShipped

__all__ = [
    "EmailSent",
    "Line",
    "Mail",
    "OrderCancelled",
    "OrderCompleted",
    "OrderCreated",
    "OrderCreatedV1",
    "PaymentCaptured",
    "PaymentDeclined",
    "PaymentVoided",
    "StockRejected",
    "StockReleased",
    "StockReserved",
    "StockShipped",
]
