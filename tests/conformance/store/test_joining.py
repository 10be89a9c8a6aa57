"""A connection of the user's own is joined, where it is in a transaction of the same database."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from eventbus.store import Claim, WrongTransaction
from tests.conformance.store import drive
from tests.conformance.store.kinds import INBOX_ONLY, SHARED_SQL, SQL

if TYPE_CHECKING:
    from eventbus.store import Outbox, Store
    from tests.conformance.store.foreign import Foreign


@SHARED_SQL
async def test_what_is_put_is_true_when_the_user_commits(
    store: Store, outbox: Outbox, foreign: Foreign
) -> None:
    key, message = drive.a_key(), drive.a_message()
    await drive.claim(store, key)
    await drive.drain(outbox)
    waiting = asyncio.create_task(outbox.changed(within=30))

    await foreign.execute("BEGIN")
    joined = store.join(foreign.connection)
    await joined.put([message], [None])
    assert await joined.complete([key]) == frozenset()
    assert await drive.waiting_now(outbox) == 0
    await foreign.execute("COMMIT")

    await asyncio.wait_for(waiting, 10)
    assert drive.ids(await drive.waiting(outbox)) == [message.event_id]
    assert await drive.claim(store, key) == [Claim.HANDLED]


@SHARED_SQL
async def test_what_is_put_is_gone_when_the_user_rolls_back(
    store: Store, outbox: Outbox, foreign: Foreign
) -> None:
    await foreign.execute("BEGIN")
    await store.join(foreign.connection).put([drive.a_message()], [None])
    await foreign.execute("ROLLBACK")

    assert await drive.waiting(outbox) == []


@SHARED_SQL
async def test_outside_of_a_transaction_nothing_is_written(
    store: Store, outbox: Outbox, foreign: Foreign
) -> None:
    with pytest.raises(WrongTransaction, match="transaction"):
        store.join(foreign.connection)

    assert await drive.waiting(outbox) == []


@SQL
@pytest.mark.parametrize("something", [object(), None, "BEGIN", 7])
async def test_what_is_no_transaction_at_all_is_refused(store: Store, something: object) -> None:
    with pytest.raises(WrongTransaction):
        store.join(something)


@SQL
async def test_a_transaction_that_has_ended_is_refused(store: Store) -> None:
    async with store.transaction() as transaction:
        pass

    with pytest.raises(WrongTransaction, match="ended"):
        store.join(transaction)


@INBOX_ONLY
async def test_an_inbox_alone_joins_nothing(store: Store) -> None:
    with pytest.raises(WrongTransaction, match="inbox only"):
        store.join(object())
