"""Handing mails to a real SMTP server, and what its answers mean."""

from __future__ import annotations

import time
from email.message import EmailMessage
from typing import TYPE_CHECKING

import pytest

from services.email.sender import MailDeferred, MailRefused, Sender
from tests.support.outside import RunningMailServer, mail_server_running

if TYPE_CHECKING:
    from pathlib import Path


def mail(to: str = "user-7@customers.example") -> EmailMessage:
    message = EmailMessage()
    message["From"] = "orders@shop.example"
    message["To"] = to
    message["Subject"] = "Ihre Bestellung über 10 €"
    message["Message-ID"] = "<1@shop.example>"
    message.set_content("Vielen Dank für Ihre Bestellung.\n")
    return message


def sender(server: RunningMailServer, timeout: float = 5.0) -> Sender:
    return Sender("127.0.0.1", server.port, timeout)


async def test_a_mail_arrives_as_it_was_written_and_dated(mail_server: RunningMailServer):
    await sender(mail_server).send(mail())

    (arrived,) = mail_server.mails()
    assert arrived["Message-ID"] == "<1@shop.example>"
    assert arrived["Date"]
    assert "für Ihre" in bytes(arrived.get_payload(decode=True)).decode()


async def test_an_unknown_mailbox_refuses_for_good(mail_server: RunningMailServer):
    with pytest.raises(MailRefused, match="no such mailbox"):
        await sender(mail_server).send(mail(to="bounce@customers.example"))


async def test_a_busy_mailbox_takes_the_mail_later(mail_server: RunningMailServer):
    with pytest.raises(MailDeferred, match="try again later"):
        await sender(mail_server).send(mail(to="busy@customers.example"))


async def test_a_mail_server_that_is_away_takes_the_mail_later(unused_tcp_port: int):
    with pytest.raises(MailDeferred, match=str(unused_tcp_port)):
        await Sender("127.0.0.1", unused_tcp_port, 5.0).send(mail())


async def test_a_slow_mail_server_is_given_up_within_the_timeout(tmp_path: Path):
    began = time.monotonic()

    async with mail_server_running(tmp_path / "mails", latency=60) as slow:
        with pytest.raises(MailDeferred):
            await sender(slow, timeout=0.3).send(mail())

    assert time.monotonic() - began < 10
