"""Mailing the confirmation in line, for `?mode=sync`; in the other modes the email service does it later."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import localtime
from typing import TYPE_CHECKING

import aiosmtplib

from services.order.charging import NotNow

if TYPE_CHECKING:
    from services.order.order import Order


@dataclass(frozen=True, slots=True)
class Confirming:
    host: str
    port: int
    timeout: float

    async def send(self, order: Order) -> str:
        """The mail's Message-ID; raises `NotNow`."""
        mail = EmailMessage()
        mail["From"] = "Your shop <orders@shop.example>"
        mail["To"] = f"user-{order.user_id}@customers.example"
        mail["Subject"] = f"Your order {order.order_id}"
        mail["Date"] = localtime()
        mail["Message-ID"] = f"<confirmation-{order.event_id}@shop.example>"
        mail["X-Shop-Order"] = str(order.order_id)
        mail["X-Shop-Mail"] = "confirmation"
        mail.set_content(f"Thank you for your order of {order.total} {order.currency}.\n")
        try:
            async with asyncio.timeout(self.timeout):
                await aiosmtplib.send(mail, hostname=self.host, port=self.port, timeout=self.timeout)
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
            raise NotNow(f"the mail server did not take it: {error!r}") from error
        return str(mail["Message-ID"])
