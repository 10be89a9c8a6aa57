"""What the email service does about events: the real pipeline, real SMTP."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from eventbus.testing import TestBus
from schemas import EmailSent, Line, Mail, OrderCreated, PaymentDeclined, StockRejected
from services.email import mails
from services.email.mails import message_id
from services.email.main import service
from tests.support.outside import RunningMailServer, mail_server_running

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

ORDER = OrderCreated(
    order_id=1,
    user_id=789,
    total=Decimal("99.99"),
    currency="EUR",
    lines=(Line(sku="desk-lamp", quantity=2),),
)


@pytest.fixture
async def bus(mail_server: RunningMailServer) -> AsyncIterator[TestBus]:
    async with TestBus(service) as started:
        yield started


async def test_an_order_is_confirmed_to_the_user_who_made_it(bus: TestBus, mail_server: RunningMailServer):
    await bus.publish(ORDER)

    (mail,) = mail_server.mails()
    assert mail["To"] == "user-789@customers.example"
    assert mail["X-Shop-Order"] == "1"
    text = bytes(mail.get_payload(decode=True)).decode()
    assert "2 x desk-lamp" in text
    assert "99.99 EUR" in text


async def test_a_sent_mail_is_told_with_its_message_id(bus: TestBus, mail_server: RunningMailServer):
    await bus.publish(ORDER)

    (mail,) = mail_server.mails()
    assert bus.published(EmailSent) == [
        EmailSent(order_id=1, user_id=789, mail=Mail.CONFIRMATION, message_id=str(mail["Message-ID"]))
    ]


async def test_the_message_id_stays_the_same_over_every_try(bus: TestBus, mail_server: RunningMailServer):
    receipt = await bus.publish(ORDER)

    (mail,) = mail_server.mails()
    assert mail["Message-ID"] == message_id(f"email.send_confirmation:{receipt.event_id}")


async def test_an_order_of_version_1_is_confirmed_too(bus: TestBus, mail_server: RunningMailServer):
    await bus.publish("order.created", {"order_id": 5, "user_id": 7, "total": "9.99"}, version="1.0")

    (mail,) = mail_server.mails()
    assert mail["To"] == "user-7@customers.example"


async def test_an_order_that_was_confirmed_in_line_is_not_confirmed_again(
    bus: TestBus, mail_server: RunningMailServer
):
    await bus.publish(ORDER.model_copy(update={"confirmation_id": "<in-line@shop.example>"}))

    assert not mail_server.maildir.exists() or not mail_server.mails()
    (sent,) = bus.published(EmailSent)
    assert sent.message_id == "<in-line@shop.example>"


@pytest.mark.parametrize(
    ("event", "kind", "says"),
    [
        (
            PaymentDeclined(
                order_id=1, user_id=7, amount=Decimal("20.13"), currency="EUR", reason="insufficient_funds"
            ),
            Mail.PAYMENT_DECLINED,
            "insufficient_funds",
        ),
        (StockRejected(order_id=1, user_id=7, missing=("unicorn",)), Mail.OUT_OF_STOCK, "unicorn"),
    ],
)
async def test_bad_news_is_mailed_with_its_reason(
    bus: TestBus,
    mail_server: RunningMailServer,
    event: PaymentDeclined | StockRejected,
    kind: Mail,
    says: str,
):
    await bus.publish(event)

    (mail,) = mail_server.mails()
    assert mail["X-Shop-Mail"] == kind
    assert says in bytes(mail.get_payload(decode=True)).decode()
    assert [sent.mail for sent in bus.published(EmailSent)] == [kind]


async def test_a_mail_server_that_was_away_gets_the_mail_when_it_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unused_tcp_port: int
):
    monkeypatch.setenv("SMTP_PORT", str(unused_tcp_port))

    async with TestBus(service) as bus:
        await bus.publish(ORDER)
        assert not bus.published(EmailSent)
        async with mail_server_running(tmp_path / "mails", port=unused_tcp_port) as back:
            await bus.advance(timedelta(seconds=5))

            assert len(back.mails()) == 1
            assert len(bus.published(EmailSent)) == 1


async def test_an_address_that_does_not_exist_is_a_dead_letter_at_once(
    bus: TestBus, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(mails, "address_of", lambda _user_id: "bounce@customers.example")

    await bus.publish(ORDER)

    (dead,) = bus.dead_letters
    assert (dead.reason, dead.attempts) == ("rejected", 1)
