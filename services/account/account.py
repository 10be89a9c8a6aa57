"""The account: what may happen to it is decided here, by what has happened to it."""

from __future__ import annotations

from decimal import Decimal

from eventbus.sourcing import Aggregate, applies
from schemas.account import AccountOpened, MoneyDeposited, MoneyWithdrawn


class NotAllowed(Exception):
    """What was asked for cannot be done with this account."""


class Account(Aggregate, stream="account"):
    owner: str = ""
    balance: Decimal = Decimal(0)

    # What is asked for: refuse it, or record what happens.

    def open(self, owner: str) -> None:
        if self.owner:
            raise NotAllowed(f"account {self.id} is open already")
        self.record(AccountOpened(owner=owner))

    def deposit(self, amount: Decimal) -> None:
        if not self.owner or amount <= 0:
            raise NotAllowed(f"cannot deposit {amount} in account {self.id}")
        self.record(MoneyDeposited(amount=amount))

    def withdraw(self, amount: Decimal) -> None:
        if not 0 < amount <= self.balance:
            raise NotAllowed(f"cannot withdraw {amount} from account {self.id}, which has {self.balance}")
        self.record(MoneyWithdrawn(amount=amount))

    # What has happened: refuse nothing.

    @applies
    def on_opened(self, event: AccountOpened) -> None:
        self.owner = event.owner

    @applies
    def on_deposited(self, event: MoneyDeposited) -> None:
        self.balance += event.amount

    @applies
    def on_withdrawn(self, event: MoneyWithdrawn) -> None:
        self.balance -= event.amount
