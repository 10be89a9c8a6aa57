"""Hands mails to an SMTP server: bounded in time, and sorted by what can be done when it says no."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from email.utils import localtime
from typing import TYPE_CHECKING, Final

import aiosmtplib

if TYPE_CHECKING:
    from email.message import EmailMessage

PERMANENT: Final = range(500, 600)
"""SMTP replies that no retry changes (RFC 5321 §4.2.1)."""


class MailDeferred(Exception):
    """The server is away or says "later": send it again."""


class MailRefused(Exception):
    """The server will never take this mail, for this address."""


@dataclass(frozen=True, slots=True)
class Sender:
    host: str
    port: int
    timeout: float

    async def send(self, message: EmailMessage) -> None:
        """Return when the server has taken the mail; raises `MailDeferred` or `MailRefused`."""
        if "Date" not in message:
            message["Date"] = localtime()
        try:
            async with asyncio.timeout(self.timeout):
                await aiosmtplib.send(message, hostname=self.host, port=self.port, timeout=self.timeout)
        except aiosmtplib.SMTPRecipientsRefused as refused:
            raise _sorted([recipient.code for recipient in refused.recipients], refused) from refused
        except aiosmtplib.SMTPResponseException as error:
            raise _sorted([error.code], error) from error
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
            server = f"{self.host}:{self.port}"
            raise MailDeferred(f"the mail server at {server} did not take it: {error!r}") from error


def _sorted(codes: list[int], error: Exception) -> MailDeferred | MailRefused:
    if all(code in PERMANENT for code in codes):
        return MailRefused(f"the mail server refuses it for good: {error}")
    return MailDeferred(f"the mail server does not take it now: {error}")
