"""A view of all accounts: one line for each movement, in a table that can be made again from the events."""

from __future__ import annotations

from decimal import Decimal

from eventbus import Transaction
from eventbus.sourcing import Projection, Recorded, projects
from schemas.account import MoneyDeposited, MoneyWithdrawn

TABLE = """CREATE TABLE IF NOT EXISTS statement (
    account TEXT NOT NULL, number INTEGER NOT NULL, amount TEXT NOT NULL, PRIMARY KEY (account, number)
)"""


class Statements(Projection, name="account.statements"):
    @projects
    async def on_deposited(self, recorded: Recorded[MoneyDeposited], transaction: Transaction) -> None:
        await _add(recorded.stream, recorded.version, recorded.event.amount, transaction)

    @projects
    async def on_withdrawn(self, recorded: Recorded[MoneyWithdrawn], transaction: Transaction) -> None:
        await _add(recorded.stream, recorded.version, -recorded.event.amount, transaction)

    async def reset(self, transaction: Transaction) -> None:
        await transaction.execute("DELETE FROM statement")


async def _add(account: str, number: int, amount: Decimal, transaction: Transaction) -> None:
    await transaction.execute("INSERT INTO statement VALUES (?, ?, ?)", account, number, str(amount))


async def movements(account: str, transaction: Transaction) -> list[Decimal]:
    rows = await transaction.fetch("SELECT amount FROM statement WHERE account = ? ORDER BY number", account)
    return [Decimal(row["amount"]) for row in rows]
