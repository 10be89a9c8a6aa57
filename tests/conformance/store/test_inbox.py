"""What was handled is remembered, per subscription; what is being handled is one process's."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING

from eventbus.store import Claim
from tests.conformance.store import drive
from tests.conformance.store.kinds import SHARED, quick

if TYPE_CHECKING:
    from eventbus.store import Store
    from tests.conformance.store.kinds import Place

OURS, HANDLED, HELD = Claim.OURS, Claim.HANDLED, Claim.HELD


async def test_a_new_key_is_ours_and_a_completed_one_handled(store: Store) -> None:
    key = drive.a_key()

    assert await drive.claim(store, key) == [OURS]
    answer = await store.inbox.exchange(complete=[key])

    assert not answer.lost
    assert await drive.claim(store, key) == [HANDLED]


async def test_what_this_process_has_claimed_is_still_ours(store: Store) -> None:
    key = drive.a_key()
    await drive.claim(store, key)

    assert await drive.claim(store, key) == [OURS]


async def test_many_keys_are_answered_in_their_order(store: Store) -> None:
    keys = drive.some_keys(5000)
    await store.inbox.exchange(claim=keys[::2])
    await store.inbox.exchange(complete=keys[::2])

    assert await drive.claim(store, *keys) == [HANDLED, OURS] * 2500


async def test_complete_release_and_claim_go_together_in_this_order(store: Store) -> None:
    done, given_back, new = drive.some_keys(3)
    await drive.claim(store, done, given_back)

    answer = await store.inbox.exchange(complete=[done], release=[given_back], claim=[done, given_back, new])

    assert list(answer.claims) == [HANDLED, OURS, OURS]
    assert not answer.lost


async def test_an_exchange_of_nothing_answers_nothing(store: Store) -> None:
    answer = await store.inbox.exchange()

    assert (list(answer.claims), answer.lost) == ([], frozenset())


async def test_completing_twice_changes_nothing(store: Store) -> None:
    key = drive.a_key()
    await drive.claim(store, key)
    await store.inbox.exchange(complete=[key])

    answer = await store.inbox.exchange(complete=[key])

    assert not answer.lost
    assert await drive.claim(store, key) == [HANDLED]


async def test_releasing_what_is_handled_changes_nothing(store: Store) -> None:
    key = drive.a_key()
    await drive.claim(store, key)
    await store.inbox.exchange(complete=[key])

    await store.inbox.exchange(release=[key, drive.a_key("evt_never_claimed")])

    assert await drive.claim(store, key) == [HANDLED]


async def test_subscriptions_and_replays_remember_apart(store: Store) -> None:
    key = drive.a_key()
    await drive.claim(store, key)
    await store.inbox.exchange(complete=[key])

    others = [
        drive.a_key(subscription="email.notify"),
        drive.a_key(replay="replay-1"),
        drive.a_key(replay="replay-2"),
    ]
    assert await drive.claim(store, key, *others) == [HANDLED, OURS, OURS, OURS]


async def test_ids_of_all_printable_characters_are_told_apart(store: Store) -> None:
    odd = [drive.a_key(name) for name in ("a:b", "a", "a'b", 'a"b', "a%b", "a_b", "a\\b", "{a}", "ä", "A")]

    assert await drive.claim(store, *odd) == [OURS] * len(odd)
    await store.inbox.exchange(complete=odd[:1])
    assert await drive.claim(store, *odd) == [HANDLED, *[OURS] * (len(odd) - 1)]


async def test_what_is_purged_can_be_claimed_again(store: Store) -> None:
    keys = drive.some_keys(5)
    await drive.claim(store, *keys)
    await store.inbox.exchange(complete=keys)

    assert await store.inbox.purge(older=timedelta(hours=1), limit=100) == 0
    assert await drive.claim(store, *keys) == [HANDLED] * 5

    await asyncio.sleep(0.1)  # they are to be old
    assert await store.inbox.purge(older=timedelta(seconds=0.05), limit=100) == 5
    assert await drive.claim(store, *keys) == [OURS] * 5


async def test_a_purge_forgets_no_more_than_its_limit(store: Store) -> None:
    keys = drive.some_keys(5)
    await drive.claim(store, *keys)
    await store.inbox.exchange(complete=keys)
    await asyncio.sleep(0.1)  # they are to be old

    counts = [await store.inbox.purge(older=timedelta(seconds=0.05), limit=2) for _ in range(4)]

    assert counts == [2, 2, 1, 0]


async def test_the_inbox_remembers_a_subscription_that_handles_or_has_handled(store: Store) -> None:
    claimed, handled = drive.a_key(subscription="payment.charge"), drive.a_key(subscription="email.notify")
    await drive.claim(store, claimed, handled)
    await store.inbox.exchange(complete=[handled])

    asked = ("payment.charge", "email.notify", "email", "payment.charge2", "order.made", "zebra.feed")
    assert [await store.inbox.remembers(name) for name in asked] == [True, True, False, False, False, False]


async def test_the_inbox_remembers_a_subscription_until_nothing_of_it_is_left(store: Store) -> None:
    released, purged = drive.some_keys(2)
    await drive.claim(store, released, purged)
    await store.inbox.exchange(complete=[purged], release=[released])
    assert await store.inbox.remembers(purged.subscription)

    await asyncio.sleep(0.1)  # it is to be old
    await store.inbox.purge(older=timedelta(seconds=0.05), limit=100)
    assert not await store.inbox.remembers(purged.subscription)

    await drive.claim(store, released)
    assert await store.inbox.remembers(released.subscription)
    await store.inbox.exchange(release=[released])
    assert not await store.inbox.remembers(released.subscription)


@SHARED
async def test_what_another_process_is_handling_is_held(store: Store, other: Store) -> None:
    key = drive.a_key()
    await drive.claim(store, key)

    assert await drive.claim(other, key) == [HELD]


@SHARED
async def test_what_another_process_has_handled_is_handled(store: Store, other: Store) -> None:
    key = drive.a_key()
    await drive.claim(store, key)
    await store.inbox.exchange(complete=[key])

    assert await drive.claim(other, key) == [HANDLED]


@SHARED
async def test_what_another_process_releases_can_be_claimed(store: Store, other: Store) -> None:
    key = drive.a_key()
    await drive.claim(store, key)
    await store.inbox.exchange(release=[key])

    assert await drive.claim(other, key) == [OURS]


@SHARED
async def test_nobody_releases_what_another_process_is_handling(store: Store, other: Store) -> None:
    key = drive.a_key()
    await drive.claim(store, key)

    await other.inbox.exchange(release=[key])

    assert await drive.claim(other, key) == [HELD]


@SHARED
async def test_nobody_completes_what_another_process_is_handling(store: Store, other: Store) -> None:
    key = drive.a_key()
    await drive.claim(store, key)

    answer = await other.inbox.exchange(complete=[key])

    assert answer.lost == {key}
    assert await drive.claim(store, key) == [OURS]


@SHARED
async def test_of_two_processes_that_claim_at_once_each_key_is_one_s(store: Store, other: Store) -> None:
    keys = drive.some_keys(200)

    async def claim_all(claimant: Store, order: int) -> list[Claim]:
        answers: list[Claim] = []
        for start in range(0, 200, 20):
            answers += await drive.claim(claimant, *keys[start : start + 20][::order])
        return answers

    await asyncio.gather(claim_all(store, 1), claim_all(other, -1))

    here, there = await drive.claim(store, *keys), await drive.claim(other, *keys)
    assert {frozenset(pair) for pair in zip(here, there, strict=True)} == {frozenset({OURS, HELD})}


@SHARED
async def test_closing_gives_back_what_was_claimed_and_keeps_what_was_handled(
    place: Place, other: Store
) -> None:
    claimed, handled = drive.some_keys(2)
    async with place.opened(quick(lease=600.0)) as closing:
        await drive.claim(closing, claimed, handled)
        await closing.inbox.exchange(complete=[handled])

    assert await drive.claim(other, claimed, handled) == [OURS, HANDLED]


@SHARED
async def test_a_store_opened_again_remembers(place: Place) -> None:
    key = drive.a_key()
    async with place.opened() as before:
        await drive.claim(before, key)
        await before.inbox.exchange(complete=[key])

    async with place.opened() as after:
        assert await drive.claim(after, key) == [HANDLED]
