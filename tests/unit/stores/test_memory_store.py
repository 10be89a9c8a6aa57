"""How much the inbox in memory remembers, and what it forgets first."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventbus.store import Claim, InboxKey
from eventbus.stores.memory import TABLES, MemoryInbox
from eventbus.testing import VirtualClock


def key(number: int, subscription: str = "payment.charge") -> InboxKey:
    return InboxKey(subscription, f"event-{number}")


def complete(inbox: MemoryInbox, numbers: range, *, at_once: int) -> None:
    for first in numbers[::at_once]:
        keys = [key(number) for number in range(first, min(first + at_once, numbers.stop))]
        inbox.claim(keys)
        inbox.complete(keys)


def remembered(inbox: MemoryInbox, numbers: range) -> list[int]:
    return [number for number in numbers if inbox.claim([key(number)]) == [Claim.HANDLED]]


@given(limit=st.integers(1, 50), handled=st.integers(0, 200), at_once=st.integers(1, 20))
def test_it_remembers_the_last_as_many_as_the_limit_says_and_a_quarter_more_at_most(
    limit: int, handled: int, at_once: int
) -> None:
    inbox = MemoryInbox(limit, VirtualClock())
    complete(inbox, range(handled), at_once=at_once)

    known = remembered(inbox, range(handled))

    assert known == list(range(handled))[-len(known) :] if known else handled == 0
    assert min(limit, handled) <= len(known) <= (TABLES + 1) * (-(-limit // TABLES) + at_once - 1)


def test_new_ones_and_ones_of_every_age_can_be_claimed_together() -> None:
    inbox = MemoryInbox(40, VirtualClock())
    complete(inbox, range(45), at_once=1)
    numbers = [0, 44, 50, 13, 51, 27, 3]

    claims = inbox.claim([key(number) for number in numbers])

    assert claims == [Claim.HANDLED if number < 45 else Claim.OURS for number in numbers]


async def test_a_purge_goes_from_the_oldest_to_what_is_young_enough_whatever_lies_between() -> None:
    clock = VirtualClock()
    inbox = MemoryInbox(40, clock)
    for number in range(45):
        complete(inbox, range(number, number + 1), at_once=1)
        clock.move_to(clock.now() + timedelta(seconds=1))

    assert await inbox.purge(older=timedelta(seconds=25), limit=15) == 15
    assert remembered(inbox, range(45)) == list(range(15, 45))
    assert await inbox.purge(older=timedelta(seconds=25), limit=15) == 5
    assert remembered(inbox, range(45)) == list(range(20, 45))
    assert await inbox.purge(older=timedelta(seconds=25), limit=15) == 0


async def test_a_subscription_is_remembered_as_long_as_one_of_its_keys() -> None:
    inbox = MemoryInbox(4, VirtualClock())
    inbox.complete([key(0, "email.notify")])
    complete(inbox, range(3), at_once=1)
    assert await inbox.remembers("email.notify")

    complete(inbox, range(3, 8), at_once=1)
    assert not await inbox.remembers("email.notify")


@pytest.mark.parametrize("replay", ["", "r1"])
def test_each_replay_is_remembered_for_itself(replay: str) -> None:
    inbox = MemoryInbox(10, VirtualClock())
    inbox.complete([InboxKey("payment.charge", "event-1", replay)])

    asked = [InboxKey("payment.charge", "event-1", each) for each in ("", "r1", "r2")]

    assert inbox.claim(asked) == [Claim.HANDLED if each.replay == replay else Claim.OURS for each in asked]
