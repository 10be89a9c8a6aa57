"""What the tests of streams are about: accounts, and the money that goes in and out."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING

from eventbus import Event, upcast
from eventbus.clock import Clock, SystemClock
from eventbus.registry import Registry
from eventbus.settings import Settings
from eventbus.sourcing import Aggregate, EventStore, Projection, Recorded, applies, projects
from eventbus.store import Transaction

if TYPE_CHECKING:
    from eventbus.store import Store


class DepositedV1(Event, type="money.deposited", version="1.0"):
    cents: int


class Deposited(Event, type="money.deposited", version="2.0"):
    amount: Decimal


@upcast
def deposits_were_in_cents(old: DepositedV1) -> Deposited:
    return Deposited(amount=Decimal(old.cents) / 100)


class Withdrawn(Event, type="money.withdrawn"):
    amount: Decimal


class Account(Aggregate, stream="account"):
    balance: Decimal = Decimal(0)

    def deposit(self, amount: int) -> None:
        self.record(Deposited(amount=Decimal(amount)))

    def withdraw(self, amount: int) -> None:
        if amount > self.balance:
            raise ValueError("not enough money")
        self.record(Withdrawn(amount=Decimal(amount)))

    @applies
    def on_deposited(self, event: Deposited) -> None:
        self.balance += event.amount

    @applies
    def on_withdrawn(self, event: Withdrawn) -> None:
        self.balance -= event.amount


class Balances(Projection, name="balances"):
    """One row for each account: its balance in cents, and how often it was changed."""

    @staticmethod
    async def create(store: Store) -> None:
        async with store.transaction() as transaction:
            await transaction.execute(
                "CREATE TABLE balance (account TEXT PRIMARY KEY, cents BIGINT, changes BIGINT)"
            )

    @staticmethod
    async def rows(store: Store) -> dict[str, tuple[int, int]]:
        async with store.transaction() as transaction:
            found = await transaction.fetch("SELECT account, cents, changes FROM balance")
        return {row["account"]: (row["cents"], row["changes"]) for row in found}

    @projects
    async def on_deposited(self, recorded: Recorded[Deposited], transaction: Transaction) -> None:
        await self.change(recorded.stream, recorded.event.amount, transaction)

    @projects
    async def on_withdrawn(self, recorded: Recorded[Withdrawn], transaction: Transaction) -> None:
        await self.change(recorded.stream, -recorded.event.amount, transaction)

    async def change(self, account: str, amount: Decimal, transaction: Transaction) -> None:
        cents = int(amount * 100)
        await transaction.execute(
            "INSERT INTO balance (account, cents, changes) VALUES "  # noqa: S608  a number, and a name of ours
            f"('{account}', {cents}, 1) ON CONFLICT (account) "
            "DO UPDATE SET cents = balance.cents + excluded.cents, changes = balance.changes + 1"
        )

    async def reset(self, transaction: Transaction) -> None:
        await transaction.execute("DELETE FROM balance")


@dataclass
class KeptStore:
    store: Store

    async def opened_store(self) -> Store:
        return self.store


@dataclass
class Host:
    """A bus, as far as an event store needs one."""

    kept: KeptStore
    source: str = "bank"
    clock: Clock = field(default_factory=SystemClock)
    registry: Registry = field(default_factory=Registry)
    settings: Settings = field(default_factory=Settings)


def event_store(store: Store) -> EventStore:
    return EventStore(Host(KeptStore(store)), [Deposited, Withdrawn])


def deposit(amount: int = 1) -> Deposited:
    return Deposited(amount=Decimal(amount))
