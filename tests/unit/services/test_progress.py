"""The state of an order, read off the events of others: in any order, as often as they come."""

from __future__ import annotations

import itertools
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import (
    EmailSent,
    Mail,
    PaymentCaptured,
    PaymentDeclined,
    PaymentVoided,
    StockRejected,
    StockReleased,
    StockReserved,
    StockShipped,
)
from services.order.progress import News, Payment, Progress, Status, Stock

CENT = Decimal("0.01")


def sent(mail: Mail) -> EmailSent:
    return EmailSent(order_id=1, user_id=7, mail=mail, message_id="<1@shop.example>")


CAPTURED = PaymentCaptured(order_id=1, charge_id="ch_1", amount=CENT, currency="EUR")
DECLINED = PaymentDeclined(order_id=1, user_id=7, amount=CENT, currency="EUR", reason="no_funds")
VOIDED = PaymentVoided(order_id=1, charge_id="ch_1", amount=CENT, currency="EUR")
RESERVED = StockReserved(order_id=1, lines=())
REJECTED = StockRejected(order_id=1, user_id=7, missing=("unicorn",))
RELEASED = StockReleased(order_id=1)
SHIPPED = StockShipped(order_id=1)
CONFIRMED = sent(Mail.CONFIRMATION)

STORIES: dict[Status, tuple[News, ...]] = {
    Status.COMPLETED: (CAPTURED, RESERVED, CONFIRMED),
    Status.DECLINED: (DECLINED, RESERVED, RELEASED, CONFIRMED, sent(Mail.PAYMENT_DECLINED)),
    Status.OUT_OF_STOCK: (CAPTURED, VOIDED, REJECTED, CONFIRMED, sent(Mail.OUT_OF_STOCK)),
}


def after(*news: News) -> Progress:
    progress = Progress()
    for each in news:
        progress = progress.after(each)
    return progress


@pytest.mark.parametrize("status", STORIES)
def test_a_story_ends_the_same_in_every_order(status: Status):
    assert {after(*news).status for news in itertools.permutations(STORIES[status])} == {status}


@pytest.mark.parametrize("status", STORIES)
def test_no_story_ends_before_its_last_event(status: Status):
    untold = {
        after(*(each for each in STORIES[status] if each is not left_out)).status
        for left_out in STORIES[status]
        if left_out in _decisive(status)
    }
    assert untold == {Status.PROCESSING}


def _decisive(status: Status) -> tuple[News, ...]:
    """Without these, it is not known that it ended; a voided payment tells that it was captured, say."""
    return {
        Status.COMPLETED: (CAPTURED, RESERVED, CONFIRMED),
        Status.DECLINED: (DECLINED, RELEASED, sent(Mail.PAYMENT_DECLINED)),
        Status.OUT_OF_STOCK: (VOIDED, REJECTED, sent(Mail.OUT_OF_STOCK)),
    }[status]


@given(st.sampled_from(list(STORIES)), st.data())
def test_events_that_come_again_change_nothing(status: Status, data: st.DataObject):
    story = STORIES[status]
    again = data.draw(st.lists(st.sampled_from(story), max_size=8))
    news = data.draw(st.permutations([*story, *again]))

    assert after(*news) == after(*story)


def test_an_order_that_is_both_declined_and_out_of_stock_is_declined():
    assert after(DECLINED, REJECTED, sent(Mail.PAYMENT_DECLINED)).status is Status.DECLINED


def test_a_completed_order_stays_so_when_it_is_shipped():
    assert after(CAPTURED, RESERVED, CONFIRMED, SHIPPED).status is Status.COMPLETED


def test_a_payment_that_went_back_does_not_come_again():
    assert after(VOIDED, CAPTURED).payment is Payment.VOIDED


def test_what_was_released_is_not_reserved_by_older_news():
    assert after(RELEASED, RESERVED).stock is Stock.RELEASED
