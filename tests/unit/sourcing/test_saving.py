"""Saving takes what was pending when it began, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest_asyncio

from eventbus import Bus
from eventbus.sourcing import EventStore, Repository
from tests.conformance.store.streams import Account

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator


class Interrupted(EventStore):
    """While the first append is on its way, somebody else records a deposit of 7 on the same account."""

    account: Account | None = None

    async def append(self, *args: Any, **kwargs: Any) -> int:
        if self.account is not None:
            self.account.deposit(7)
            self.account = None
        return await super().append(*args, **kwargs)


@pytest_asyncio.fixture
async def events() -> AsyncGenerator[Interrupted]:
    async with Bus("sqlite://:memory:", source="bank") as bus:
        yield Interrupted(bus)


async def test_what_is_recorded_while_an_aggregate_is_saved_stays_pending(events: Interrupted):
    accounts = Repository(events, Account)
    account = Account(id="1")
    account.deposit(5)
    events.account = account

    assert await accounts.save(account) == 1

    assert (account.balance, len(account.pending)) == (12, 1)
    assert (await accounts.load("1")).balance == 5
    assert await accounts.save(account) == 2
    assert (await accounts.load("1")).balance == 12


async def test_a_snapshot_holds_only_what_is_saved(events: Interrupted):
    accounts = Repository(events, Account, snapshot_every=1)
    account = Account(id="1")
    account.deposit(5)
    events.account = account

    await accounts.save(account)

    assert (await accounts.load("1")).balance == 5
