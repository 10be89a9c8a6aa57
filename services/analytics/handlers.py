"""What the analytics service counts. It came late, so it begins with what was published before it existed."""

from __future__ import annotations

from decimal import Decimal

from eventbus import Envelope, Transaction, subscribe
from schemas.order import OrderCreated
from schemas.payment import PaymentCaptured, PaymentVoided
from services.analytics.ledger import Entry, add


@subscribe(OrderCreated, start="beginning")
async def count_order(event: Envelope[OrderCreated], transaction: Transaction) -> None:
    await add(Entry(event.data.order_id, event.timestamp, event.data.currency, orders=1), transaction)


@subscribe(PaymentCaptured, start="beginning")
async def count_payment(event: Envelope[PaymentCaptured], transaction: Transaction) -> None:
    await add(_money(event, event.data.amount), transaction)


@subscribe(PaymentVoided, start="beginning")
async def count_refund(event: Envelope[PaymentVoided], transaction: Transaction) -> None:
    await add(_money(event, -event.data.amount), transaction)


def _money(event: Envelope[PaymentCaptured] | Envelope[PaymentVoided], amount: Decimal) -> Entry:
    return Entry(event.data.order_id, event.timestamp, event.data.currency, revenue=amount)
