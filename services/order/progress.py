"""How far an order is, as the events of others tell it. Pure: no database, no clock.

An order has three legs, which go forward only, each at its own pace:

    payment   pending ─▶ captured ─▶ voided        stock   pending ─▶ reserved ─▶ shipped
                 └─────▶ declined                             │           └─────▶ released
    mails     (none) ─▶ what has been sent                    └─────▶ rejected

Events come in any order and more than once, so a leg takes a step only forward, and the status of the order
is read off the legs:

    completed      captured,  reserved,               and confirmed by mail
    declined       declined,  released or rejected,   and told so by mail
    out_of_stock   voided,    rejected,               and told so by mail
    processing     everything else
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, TypeVar

from schemas.email import EmailSent, Mail
from schemas.payment import PaymentCaptured, PaymentDeclined, PaymentVoided
from schemas.warehouse import StockRejected, StockReleased, StockReserved, StockShipped

News = (
    PaymentCaptured
    | PaymentDeclined
    | PaymentVoided
    | StockReserved
    | StockRejected
    | StockReleased
    | StockShipped
    | EmailSent
)


class Payment(StrEnum):
    PENDING = "pending"
    CAPTURED = "captured"
    DECLINED = "declined"
    VOIDED = "voided"


class Stock(StrEnum):
    PENDING = "pending"
    RESERVED = "reserved"
    REJECTED = "rejected"
    SHIPPED = "shipped"
    RELEASED = "released"


class Status(StrEnum):
    PROCESSING = "processing"
    COMPLETED = "completed"
    DECLINED = "declined"
    OUT_OF_STOCK = "out_of_stock"


@dataclass(frozen=True, slots=True)
class Progress:
    payment: Payment = Payment.PENDING
    stock: Stock = Stock.PENDING
    mails: frozenset[Mail] = frozenset()

    @property
    def status(self) -> Status:
        match self.payment, self.stock:
            case Payment.CAPTURED, (Stock.RESERVED | Stock.SHIPPED) if Mail.CONFIRMATION in self.mails:
                return Status.COMPLETED
            case Payment.DECLINED, (Stock.RELEASED | Stock.REJECTED) if Mail.PAYMENT_DECLINED in self.mails:
                return Status.DECLINED
            case Payment.VOIDED, Stock.REJECTED if Mail.OUT_OF_STOCK in self.mails:
                return Status.OUT_OF_STOCK
            case _:
                return Status.PROCESSING

    def after(self, news: News) -> Progress:
        """The progress when this is known too; old news change nothing."""
        match news:
            case EmailSent():
                return replace(self, mails=self.mails | {news.mail})
            case PaymentCaptured() | PaymentDeclined() | PaymentVoided():
                return replace(self, payment=_forward(self.payment, _PAYMENT[type(news)]))
            case StockReserved() | StockRejected() | StockReleased() | StockShipped():
                return replace(self, stock=_forward(self.stock, _STOCK[type(news)]))


Leg = TypeVar("Leg", Payment, Stock)


def _forward(now: Leg, told: Leg) -> Leg:
    return told if _RANK[told] > _RANK[now] else now


_PAYMENT: Final = {
    PaymentCaptured: Payment.CAPTURED,
    PaymentDeclined: Payment.DECLINED,
    PaymentVoided: Payment.VOIDED,
}
_STOCK: Final = {
    StockReserved: Stock.RESERVED,
    StockRejected: Stock.REJECTED,
    StockShipped: Stock.SHIPPED,
    StockReleased: Stock.RELEASED,
}
_RANK: Final[dict[Payment | Stock, int]] = {
    Payment.PENDING: 0,
    Payment.CAPTURED: 1,
    Payment.DECLINED: 1,
    Payment.VOIDED: 2,
    Stock.PENDING: 0,
    Stock.RESERVED: 1,
    Stock.REJECTED: 1,
    Stock.SHIPPED: 2,
    Stock.RELEASED: 2,
}
