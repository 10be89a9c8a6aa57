"""Several buses keep their events in one store: each takes its own, and leaves the others' alone."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from eventbus.event_store import Appending
from tests.conformance.store import drive
from tests.conformance.store.kinds import SHARED_SQL, STEADY

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from eventbus.store import Outbox, Store
    from tests.conformance.store.kinds import Place

pytestmark = SHARED_SQL


@asynccontextmanager
async def stores_of(place: Place, *buses: str) -> AsyncGenerator[list[Store]]:
    """At one place; the embedded transport lets one at a time be its own, and the others are beside it."""
    first, *others = buses
    if not others:
        async with place.opened(replace(STEADY, bus=first)) as store:
            yield [store]
        return
    async with place.opened(replace(STEADY, bus=first)) as store, stores_of(place, *others) as more:
        yield [store, *more]


def outbox_of(store: Store) -> Outbox:
    assert store.outbox is not None
    return store.outbox


async def test_a_bus_takes_its_own_events_and_leaves_those_of_another(place: Place) -> None:
    async with stores_of(place, "shop", "bank") as (shop, bank):
        of_shop = await drive.put(outbox_of(shop), *drive.some_messages(3))
        of_bank = await drive.put(outbox_of(bank), *drive.some_messages(2))

        assert drive.ids(await drive.drain(outbox_of(shop))) == of_shop
        assert drive.ids(await drive.drain(outbox_of(bank))) == of_bank


async def test_a_relay_of_another_bus_keeps_none_from_its_events(place: Place) -> None:
    async with stores_of(place, "shop", "bank") as (shop, bank):
        of_shop = await drive.put(outbox_of(shop), *drive.some_messages(3), key="one")
        of_bank = await drive.put(outbox_of(bank), *drive.some_messages(3), key="one")

        async with outbox_of(shop).take(10) as taken:
            assert drive.ids(taken.entries) == of_shop
            assert drive.ids(await drive.waiting(outbox_of(bank))) == of_bank


async def test_what_says_of_no_bus_is_the_first_one_s_to_come_and_nobody_else_s(place: Place) -> None:
    async with stores_of(place, "", "shop", "bank") as (older, shop, bank):
        put = await drive.put(outbox_of(older), *drive.some_messages(3), key="one")
        put += await drive.put(outbox_of(shop), *drive.some_messages(2), key="one")

        assert drive.ids(await drive.waiting(outbox_of(shop), limit=4)) == put[:4]
        assert await drive.waiting(outbox_of(bank)) == []
        assert drive.ids(await drive.drain(outbox_of(shop))) == put


async def test_what_is_put_in_a_transaction_or_with_a_stream_is_of_the_bus_too(place: Place) -> None:
    async with stores_of(place, "shop", "bank") as (shop, bank):
        async with shop.transaction() as transaction:
            await shop.join(transaction).put([drive.a_message("evt_1")], [None])
        assert shop.streams is not None
        for count, name in ((1, "account-1"), (2, "account-2")):
            messages = [drive.a_message(f"{name}-{number}") for number in range(count)]
            await shop.streams.append(Appending(name, None, messages, [None] * count, ["1.0"] * count))

        assert await drive.waiting(outbox_of(bank)) == []
        waiting = drive.ids(await drive.waiting(outbox_of(shop)))
        assert waiting == ["evt_1", "account-1-0", "account-2-0", "account-2-1"]


async def test_a_bus_counts_what_is_its_own_and_tells_what_is_left_to_others(place: Place) -> None:
    async with stores_of(place, "", "shop", "bank") as (older, shop, bank):
        for store, count in ((older, 1), (shop, 2), (bank, 4)):
            await drive.put(outbox_of(store), *drive.some_messages(count))

        assert (await outbox_of(shop).backlog()).events == 3
        others = await outbox_of(shop).backlogs_of_others()

        assert [(bus, backlog.events) for bus, backlog in others.items()] == [("bank", 4)]
        assert others["bank"].bytes == 4 * len(drive.a_message().body)
        assert others["bank"].oldest_age is not None
