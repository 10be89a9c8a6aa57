"""`python -m services.account.main [URL]`: deposits 1000 + 200 + 300 and a withdrawal of 200 make 1300.

The default URL is that of a file that ends with the program: sqlite://:memory:
"""

from __future__ import annotations

import asyncio
import sys
from decimal import Decimal

from eventbus import Bus
from eventbus.sourcing import EventStore, Projecting, Repository
from services.account.account import Account, NotAllowed
from services.account.statements import TABLE, Statements, movements


async def main(url: str) -> None:
    async with Bus(url, source="account") as bus:
        events = EventStore(bus)
        accounts = Repository(events, Account, snapshot_every=100)

        account = Account(id="42")
        account.open("Ada")
        for amount in (1000, 200, 300):
            account.deposit(Decimal(amount))
        await accounts.save(account)

        account = await accounts.act("42", lambda account: account.withdraw(Decimal(200)), attempts=5)
        say(f"account 42 of {account.owner}: {account.balance} after {account.version} events")
        try:
            await accounts.act("42", lambda account: account.withdraw(Decimal(5000)), attempts=5)
        except NotAllowed as refusal:
            say(f"refused: {refusal}")

        await show_statement(events, account)


async def show_statement(events: EventStore, account: Account) -> None:
    store = await events.store()
    async with store.transaction() as transaction:
        await transaction.execute(TABLE)
    statements = Projecting(events, Statements())
    await statements.catch_up()  # a service would let it run: async with projecting(events, Statements())
    async with store.transaction() as transaction:
        amounts = await movements(account.stream, transaction)
    say(f"statement: {' '.join(f'{amount:+}' for amount in amounts)} = {sum(amounts)}")


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "sqlite://:memory:"))
