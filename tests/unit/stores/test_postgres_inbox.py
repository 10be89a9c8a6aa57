"""The inbox on PostgreSQL, where several processes and open transactions want the same event."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from eventbus.store import Claim, InboxKey
from eventbus.stores.postgres.store import PostgresStore

if TYPE_CHECKING:
    import asyncpg

KEY = InboxKey("payment.charge", "evt_1")


async def test_of_two_that_claim_a_thousand_keys_at_once_each_key_is_one_s(
    postgres_store: PostgresStore, other: PostgresStore
) -> None:
    keys = [InboxKey("payment.charge", f"evt_{number}") for number in range(1000)]

    here, there = await asyncio.gather(
        postgres_store.inbox.exchange(claim=keys), other.inbox.exchange(claim=keys[::-1])
    )

    pairs = zip(here.claims, reversed(there.claims), strict=True)
    assert {frozenset(pair) for pair in pairs} == {frozenset({Claim.OURS, Claim.HELD})}


@pytest.mark.parametrize("ending", ["commits", "rolls back"])
async def test_what_a_transaction_is_about_to_complete_is_held_until_that_has_ended(
    postgres_store: PostgresStore, other: PostgresStore, connection: asyncpg.Connection, ending: str
) -> None:
    """Be it our own, whose COMMIT was not answered, or one of a process that is dead by now."""
    await postgres_store.inbox.exchange(claim=[KEY])
    begun = connection.transaction()
    await begun.start()
    await postgres_store.join(connection).complete([KEY])

    async with asyncio.timeout(5):
        assert (await postgres_store.inbox.exchange(claim=[KEY])).claims == [Claim.HELD]
        await postgres_store.close()
        assert (await other.inbox.exchange(claim=[KEY])).claims == [Claim.HELD]

    await (begun.commit() if ending == "commits" else begun.rollback())
    expected = Claim.HANDLED if ending == "commits" else Claim.OURS
    assert (await other.inbox.exchange(claim=[KEY])).claims == [expected]


async def test_an_odd_replay_id_is_a_key_like_any_other(postgres_store: PostgresStore) -> None:
    odd = InboxKey("payment.charge", "evt_1", "\0\ud800")

    await postgres_store.inbox.exchange(claim=[odd])
    await postgres_store.inbox.exchange(complete=[odd])

    assert (await postgres_store.inbox.exchange(claim=[odd, KEY])).claims == [Claim.HANDLED, Claim.OURS]
