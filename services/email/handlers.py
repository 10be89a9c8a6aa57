"""What the email service does about the events of others.

It keeps no database: a mail that is sent again after a crash has the same Message-ID as before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from eventbus import Context, Depends, RetryPolicy, subscribe
from schemas.email import EmailSent, Mail
from schemas.order import OrderCreated
from schemas.payment import PaymentDeclined
from schemas.warehouse import StockRejected
from services.email import mails
from services.email.sender import MailDeferred, MailRefused, Sender
from services.email.settings import Settings

if TYPE_CHECKING:
    from email.message import EmailMessage


def open_sender() -> Sender:
    settings = Settings.from_environment()
    return Sender(settings.host, settings.port, settings.timeout)


OurSender = Annotated[Sender, Depends(open_sender)]

# A mail server may be away for an hour; an address that it does not know will not come to be.
PATIENT = RetryPolicy(max_attempts=14, give_up_on=(MailRefused,), pause_on=(MailDeferred,))


@subscribe(OrderCreated, retry=PATIENT)
async def send_confirmation(event: OrderCreated, context: Context, sender: OurSender) -> EmailSent:
    if event.confirmation_id is not None:
        return _sent(event, Mail.CONFIRMATION, event.confirmation_id)
    message = mails.confirmation(event, context.idempotency_key)
    await sender.send(message)
    return _sent(event, Mail.CONFIRMATION, _id(message))


@subscribe(PaymentDeclined, retry=PATIENT)
async def send_payment_declined(event: PaymentDeclined, context: Context, sender: OurSender) -> EmailSent:
    message = mails.payment_declined(event, context.idempotency_key)
    await sender.send(message)
    return _sent(event, Mail.PAYMENT_DECLINED, _id(message))


@subscribe(StockRejected, retry=PATIENT)
async def send_out_of_stock(event: StockRejected, context: Context, sender: OurSender) -> EmailSent:
    message = mails.out_of_stock(event, context.idempotency_key)
    await sender.send(message)
    return _sent(event, Mail.OUT_OF_STOCK, _id(message))


def _sent(event: OrderCreated | PaymentDeclined | StockRejected, mail: Mail, message_id: str) -> EmailSent:
    return EmailSent(order_id=event.order_id, user_id=event.user_id, mail=mail, message_id=message_id)


def _id(message: EmailMessage) -> str:
    return str(message["Message-ID"])
