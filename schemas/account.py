"""What happens to an account of the bank in `services/account`: its events are all that is kept of it."""

from __future__ import annotations

from decimal import Decimal

from eventbus import Event


class AccountOpened(Event, type="account.opened", version="1.0"):
    owner: str


class MoneyDeposited(Event, type="account.money_deposited", version="1.0"):
    amount: Decimal


class MoneyWithdrawn(Event, type="account.money_withdrawn", version="1.0"):
    amount: Decimal
