"""The mails of the shop: what they say, and to whom."""

from __future__ import annotations

import hashlib
from email.message import EmailMessage
from typing import TYPE_CHECKING, Final

from schemas.email import Mail

if TYPE_CHECKING:
    from schemas.order import OrderCreated
    from schemas.payment import PaymentDeclined
    from schemas.warehouse import StockRejected

DOMAIN: Final = "shop.example"
SENDER: Final = f"Your shop <orders@{DOMAIN}>"


def confirmation(event: OrderCreated, idempotency_key: str) -> EmailMessage:
    ordered = "\n".join(f"  {line.quantity} x {line.sku}" for line in event.lines)
    return _mail(
        Mail.CONFIRMATION,
        idempotency_key,
        order_id=event.order_id,
        user_id=event.user_id,
        subject=f"Your order {event.order_id}",
        text=f"Thank you for your order:\n\n{ordered}\n\nTogether {event.total} {event.currency}.\n",
    )


def payment_declined(event: PaymentDeclined, idempotency_key: str) -> EmailMessage:
    return _mail(
        Mail.PAYMENT_DECLINED,
        idempotency_key,
        order_id=event.order_id,
        user_id=event.user_id,
        subject=f"Your order {event.order_id} could not be paid",
        text=(
            f"Your bank did not let us take {event.amount} {event.currency} ({event.reason}).\n"
            "The order is cancelled; nothing was charged.\n"
        ),
    )


def out_of_stock(event: StockRejected, idempotency_key: str) -> EmailMessage:
    return _mail(
        Mail.OUT_OF_STOCK,
        idempotency_key,
        order_id=event.order_id,
        user_id=event.user_id,
        subject=f"Your order {event.order_id} cannot be delivered",
        text=(
            f"We have run out of {', '.join(event.missing)}.\n"
            "The order is cancelled; what you have paid goes back to you.\n"
        ),
    )


def message_id(idempotency_key: str) -> str:
    """The same for every try to send one mail, so that mail programs show it once."""
    return f"<{hashlib.sha256(idempotency_key.encode()).hexdigest()[:32]}@{DOMAIN}>"


def address_of(user_id: int) -> str:
    """Where the user reads mail: a real shop asks its directory of users here."""
    return f"user-{user_id}@customers.example"


def _mail(
    mail: Mail, idempotency_key: str, *, order_id: int, user_id: int, subject: str, text: str
) -> EmailMessage:
    message = EmailMessage()
    message["From"] = SENDER
    message["To"] = address_of(user_id)
    message["Subject"] = subject
    message["Message-ID"] = message_id(idempotency_key)
    message["Auto-Submitted"] = "auto-generated"
    message["X-Shop-Order"] = str(order_id)
    message["X-Shop-Mail"] = mail
    message.set_content(text)
    return message
