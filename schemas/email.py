"""What the email service tells about the mails of an order."""

from __future__ import annotations

from enum import StrEnum

from eventbus import Event


class Mail(StrEnum):
    """The mails that a user may get about an order."""

    CONFIRMATION = "confirmation"
    PAYMENT_DECLINED = "payment_declined"
    OUT_OF_STOCK = "out_of_stock"


class EmailSent(Event, type="email.sent", version="1.0"):
    """The user's mail server has the mail. Addresses stay out of events: `user_id` says whose it is."""

    order_id: int
    user_id: int
    mail: Mail
    message_id: str
