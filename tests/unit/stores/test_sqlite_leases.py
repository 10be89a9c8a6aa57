"""Who counts as alive in the store on SQLite, when the machine's time is no longer what it was."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from eventbus.store import Claim, InboxKey
from eventbus.stores.options import StoreOptions
from eventbus.stores.sqlite import owner as owners
from eventbus.stores.sqlite.store import SqliteStore
from eventbus.transport import Message
from tests.support.machine_time import HeldTime, Times

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

BY_HAND = StoreOptions(lease=3_000.0)
"""No sign of life comes by itself."""
AN_HOUR = 3_600.0
KEY = InboxKey("payment.charge", "evt_1")
PAGE = ("replay", "rpl_1")


@pytest.fixture
def times(monkeypatch: pytest.MonkeyPatch) -> Times:
    times = Times()
    monkeypatch.setattr(owners, "time", HeldTime(times))
    return times


@pytest_asyncio.fixture
async def holder(path: Path, times: Times) -> AsyncGenerator[SqliteStore]:
    """It has something of everything that one process has at a time."""
    holder = SqliteStore(f"sqlite:///{path}", BY_HAND)
    await holder.open()
    await holder.outbox.put([Message(b"{}", "order.created", event_id="evt_1")], [None])
    await holder.inbox.exchange(claim=[KEY])
    await holder.logbook.take(*PAGE, "half of it")
    async with holder.outbox.take(1) as taken:
        assert taken.entries
        yield holder
    await holder.close()


@pytest_asyncio.fixture
async def other(holder: SqliteStore) -> AsyncGenerator[SqliteStore]:
    """Its own lease is none of the holder's business."""
    other = SqliteStore(holder.url, StoreOptions(lease=60.0))
    await other.open()
    yield other
    await other.close()


async def takes(store: SqliteStore) -> list[bool]:
    """Whether it is given the event, the outbox and the page."""
    page = await store.logbook.page(*PAGE)
    is_ours, _ = await store.logbook.take(*PAGE, "")
    assert page is not None
    assert page.is_in_hand != is_ours
    (claim,) = (await store.inbox.exchange(claim=[KEY])).claims
    async with store.outbox.take(1) as taken:
        return [claim is Claim.OURS, bool(taken.entries), is_ours]


@pytest.mark.parametrize("jump", [AN_HOUR, -AN_HOUR])
async def test_a_clock_that_is_set_takes_nothing_from_the_living(
    holder: SqliteStore, other: SqliteStore, times: Times, jump: float
) -> None:
    times.machine += jump

    assert await takes(other) == [False, False, False]
    assert (await holder.inbox.exchange(complete=[KEY])).lost == frozenset()


@pytest.mark.parametrize("jump", [0.0, AN_HOUR, -AN_HOUR])
async def test_a_clock_that_is_set_keeps_nothing_for_the_dead(
    holder: SqliteStore, other: SqliteStore, times: Times, jump: float
) -> None:
    times.machine += jump
    times.pass_by(BY_HAND.lease + 1)

    assert await takes(other) == [True, True, True]


async def test_what_was_held_before_the_machine_was_started_anew_is_free(
    holder: SqliteStore, other: SqliteStore, times: Times
) -> None:
    times.machine += AN_HOUR
    times.monotonic = 60.0

    assert await takes(other) == [True, True, True]


async def test_a_sign_of_life_given_while_somebody_asks_is_one(
    holder: SqliteStore, other: SqliteStore, times: Times
) -> None:
    times.pass_by(-1)

    assert await takes(other) == [False, False, False]
