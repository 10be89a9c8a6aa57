"""State, events and the mark that an event is handled become true together, or not at all."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from eventbus.errors import ConfigurationError
from eventbus.store import Claim, WrongTransaction
from tests.conformance.sizes import PATIENCE
from tests.conformance.store import drive
from tests.conformance.store.kinds import INBOX_ONLY, SHARED_SQL, SQL

if TYPE_CHECKING:
    from pathlib import Path

    from eventbus.store import Outbox, Store
    from tests.conformance.store.kinds import Place


@SQL
async def test_a_commit_makes_rows_inbox_and_outbox_true_together(store: Store, outbox: Outbox) -> None:
    await drive.make_bookings(store)
    key, message = drive.a_key(), drive.a_message()
    await drive.claim(store, key)

    async with store.transaction() as transaction:
        await transaction.execute("INSERT INTO booking (name) VALUES ('one')")
        joined = store.join(transaction)
        await joined.put([message], ["order-1"])
        assert await joined.complete([key]) == frozenset()

    assert await drive.bookings(store) == ["one"]
    assert drive.ids(await drive.waiting(outbox)) == [message.event_id]
    assert await drive.claim(store, key) == [Claim.HANDLED]


@SQL
async def test_an_error_takes_all_of_it_back(store: Store, outbox: Outbox) -> None:
    await drive.make_bookings(store)
    key = drive.a_key()
    await drive.claim(store, key)

    async def fail() -> None:
        async with store.transaction() as transaction:
            await transaction.execute("INSERT INTO booking (name) VALUES ('one')")
            joined = store.join(transaction)
            await joined.put([drive.a_message()], [None])
            await joined.complete([key])
            raise ValueError("no such card")

    with pytest.raises(ValueError, match="no such card"):
        await fail()

    assert await drive.bookings(store) == []
    assert await drive.waiting(outbox) == []
    assert await drive.claim(store, key) == [Claim.OURS]


@SQL
async def test_a_cancelled_transaction_is_taken_back_and_the_next_one_works(store: Store) -> None:
    await drive.make_bookings(store)
    began = asyncio.Event()

    async def hang() -> None:
        async with store.transaction() as transaction:
            await transaction.execute("INSERT INTO booking (name) VALUES ('cancelled')")
            began.set()
            await asyncio.Event().wait()

    hanging = asyncio.create_task(hang())
    await began.wait()
    hanging.cancel()
    await asyncio.wait({hanging})

    assert await drive.bookings(store) == []


@SQL
async def test_a_transaction_sees_what_it_wrote_and_counts_rows(place: Place, store: Store) -> None:
    await drive.make_bookings(store)

    async with store.transaction() as transaction:
        insert = f"INSERT INTO booking (name) VALUES ({place.parameter})"  # noqa: S608  a placeholder
        assert await transaction.execute(insert, "one") == 1
        await transaction.execute(insert, "two")
        rows = await transaction.fetch("SELECT name, 7 AS seven FROM booking ORDER BY name")
        assert [dict(row) for row in rows] == [{"name": "one", "seven": 7}, {"name": "two", "seven": 7}]
        assert await transaction.execute("DELETE FROM booking") == 2


@SQL
async def test_events_put_in_a_transaction_wake_whoever_waits_when_it_commits(
    store: Store, outbox: Outbox
) -> None:
    await drive.drain(outbox)
    waiting = asyncio.create_task(outbox.changed(within=30))
    async with store.transaction() as transaction:
        await store.join(transaction).put([drive.a_message()], [None])
        await asyncio.sleep(0.2)
        assert not waiting.done()

    await asyncio.wait_for(waiting, 10)


@SQL
async def test_transactions_side_by_side_lose_no_update(place: Place, store: Store) -> None:
    async with store.transaction() as transaction:
        await transaction.execute("CREATE TABLE counter (value INTEGER)")
        await transaction.execute("INSERT INTO counter (value) VALUES (0)")

    async def add() -> None:
        async with store.transaction() as transaction:
            await transaction.execute("UPDATE counter SET value = value + 1")
            await asyncio.sleep(0.001)

    await asyncio.wait_for(asyncio.gather(*(add() for _ in range(20))), PATIENCE)

    async with store.transaction() as transaction:
        assert (await transaction.fetch("SELECT value FROM counter"))[0]["value"] == 20


@SHARED_SQL
async def test_transactions_of_two_processes_lose_no_update(store: Store, other: Store) -> None:
    async with store.transaction() as transaction:
        await transaction.execute("CREATE TABLE counter (value INTEGER)")
        await transaction.execute("INSERT INTO counter (value) VALUES (0)")

    async def add(there: Store) -> None:
        for _ in range(10):
            async with there.transaction() as transaction:
                await transaction.execute("UPDATE counter SET value = value + 1")

    await asyncio.wait_for(asyncio.gather(add(store), add(other)), PATIENCE)

    async with store.transaction() as transaction:
        assert (await transaction.fetch("SELECT value FROM counter"))[0]["value"] == 20


@SHARED_SQL
async def test_a_process_killed_in_a_transaction_leaves_nothing_of_it(
    place: Place, store: Store, outbox: Outbox, tmp_path: Path
) -> None:
    await drive.make_bookings(store)
    async with place.process("write", log=tmp_path / "log") as process:
        await process.says("written", within=PATIENCE)
        await process.kill()

    assert await drive.bookings(store) == []
    assert await drive.waiting(outbox) == []
    assert await drive.claim(store, drive.a_key()) in ([Claim.HELD], [Claim.OURS])


@SHARED_SQL
async def test_a_transaction_learns_that_its_event_is_another_s(store: Store, other: Store) -> None:
    taken, handled = drive.some_keys(2)
    await drive.claim(other, taken, handled)
    await other.inbox.exchange(complete=[handled])

    async with store.transaction() as transaction:
        assert await store.join(transaction).complete([taken, handled]) == {taken, handled}


@SQL
@pytest.mark.parametrize("verb", ["execute", "fetch"])
@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited")
async def test_a_statement_that_nobody_awaits_fails_its_transaction(store: Store, verb: str) -> None:
    """A plain handler cannot await it, and one that is async can forget to: its row would be missing."""
    await drive.make_bookings(store)

    async def forget() -> None:
        async with store.transaction() as transaction:
            await transaction.execute("INSERT INTO booking (name) VALUES ('one')")
            getattr(transaction, verb)("INSERT INTO booking (name) VALUES ('two')")

    with pytest.raises(WrongTransaction, match=rf"{verb}.*never awaited"):
        await forget()

    assert await drive.bookings(store) == []


@SQL
async def test_a_statement_may_be_awaited_later_than_it_was_made(store: Store) -> None:
    await drive.make_bookings(store)

    async with store.transaction() as transaction:
        made = transaction.execute("INSERT INTO booking (name) VALUES ('two')")
        await transaction.execute("INSERT INTO booking (name) VALUES ('one')")
        await made

    assert sorted(await drive.bookings(store)) == ["one", "two"]


@INBOX_ONLY
async def test_an_inbox_alone_says_that_it_knows_no_transactions(store: Store) -> None:
    assert store.outbox is None
    with pytest.raises(ConfigurationError, match="inbox only"):
        async with store.transaction():
            pass
