"""A projection has each event once, follows what is new, and can be built again from the first event."""

from __future__ import annotations

import asyncio
from importlib import import_module
from typing import TYPE_CHECKING

import pytest

from eventbus.sourcing import Projecting, UnreadableEvent, projecting, rebuild
from tests.conformance.sizes import PATIENCE
from tests.conformance.store.kinds import FEATURES, SHARED_SQL
from tests.conformance.store.streams import Balances, Withdrawn, deposit, event_store
from tests.conformance.store.test_aggregates import write_row
from tests.support.eventually import eventually

if TYPE_CHECKING:
    from decimal import Decimal

    from eventbus.sourcing import EventStore
    from eventbus.store import Store, Transaction
    from tests.conformance.store.kinds import Place


@pytest.fixture
def events(store: Store) -> EventStore:
    return event_store(store)


class Failing(Balances, name="balances"):
    """At every deposit of 13, while it is told to."""

    fails = True

    async def change(self, account: str, amount: Decimal, transaction: Transaction) -> None:
        await super().change(account, amount, transaction)
        if amount == 13 and self.fails:
            raise ValueError("thirteen")


@FEATURES
async def test_a_projection_rebuilt_from_zero_equals_the_live_one(store: Store, events: EventStore) -> None:
    await Balances.create(store)
    balances = Balances()
    async with projecting(events, balances) as (running,):
        for number in range(30):
            stream = f"account-{number % 3}"
            await events.append(stream, [deposit(number), Withdrawn(amount=deposit().amount)], None)
        await eventually(lambda: running.position == 60, within=PATIENCE)
    live = await Balances.rows(store)
    assert live == {f"account-{n}": (100 * (135 + 10 * n - 10), 20) for n in range(3)}

    async with store.transaction() as transaction:
        await transaction.execute("UPDATE balance SET cents = 0")
    assert await rebuild(events, balances) == 60

    assert await Balances.rows(store) == live


@pytest.fixture
def looks_only_when_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_module("eventbus.sourcing.projecting"), "_IDLE", 3600.0)


@FEATURES
@pytest.mark.usefixtures("looks_only_when_told")
async def test_a_running_projection_is_woken_by_what_is_new(store: Store, events: EventStore) -> None:
    await Balances.create(store)
    async with projecting(events, Balances()) as (running,):
        await events.append("account-1", deposit(1), 0)
        await eventually(lambda: running.position == 1, within=PATIENCE)
        async with store.transaction() as transaction:
            await events.append("account-1", deposit(1), 1, transaction=transaction)
        await eventually(lambda: running.position == 2, within=PATIENCE)


@SHARED_SQL
@pytest.mark.usefixtures("looks_only_when_told")
async def test_a_running_projection_hears_of_other_processes(
    store: Store, events: EventStore, other: Store
) -> None:
    await Balances.create(store)
    async with projecting(events, Balances()) as (running,):
        for number in range(2):  # the first may have been there before it began
            await event_store(other).append("account-1", deposit(1), number)
            await eventually(lambda came=number + 1: running.position == came, within=PATIENCE)


@FEATURES
async def test_where_a_method_fails_table_and_position_stay_before_that_event(
    store: Store, events: EventStore
) -> None:
    await Balances.create(store)
    await events.append("account-1", [deposit(1), deposit(2), deposit(13), deposit(4)], 0)
    failing = Failing()
    running = Projecting(events, failing)

    with pytest.raises(ValueError, match="thirteen"):
        await running.catch_up()

    assert await Balances.rows(store) == {"account-1": (300, 2)}
    assert store.streams is not None
    assert await store.streams.position("balances") == 2
    failing.fails = False
    assert await running.catch_up() == 4
    assert await Balances.rows(store) == {"account-1": (2000, 4)}


@FEATURES
async def test_a_running_projection_goes_on_when_its_method_is_mended(
    store: Store, events: EventStore
) -> None:
    await Balances.create(store)
    failing = Failing()
    async with projecting(events, failing) as (running,):
        await events.append("account-1", [deposit(1), deposit(13), deposit(2)], 0)
        await eventually(lambda: running.problem is not None, within=PATIENCE)
        assert running.problem == "ValueError: thirteen"
        failing.fails = False
        await eventually(lambda: running.position == 3, within=PATIENCE)

    assert await Balances.rows(store) == {"account-1": (1600, 3)}


@SHARED_SQL
async def test_two_processes_that_run_a_projection_apply_each_event_once(
    place: Place, store: Store, events: EventStore, other: Store
) -> None:
    await Balances.create(store)
    count = 60 if place.kind == "postgres" else 20
    async with (
        projecting(events, Balances()) as (first,),
        projecting(event_store(other), Balances()) as (second,),
    ):
        for number in range(count):
            await events.append("account-1", deposit(1), number)
        await rebuild(events, Balances())
        await events.append("account-1", deposit(1), count)
        await eventually(lambda: first.position == second.position == count + 1, within=PATIENCE)

    assert await Balances.rows(store) == {"account-1": (100 * (count + 1), count + 1)}


@FEATURES
async def test_a_damaged_event_stops_a_projection_that_is_for_it_and_no_other(
    store: Store, events: EventStore
) -> None:
    await Balances.create(store)
    await write_row(store, b"{", event_type="money.burnt")
    await events.append("account-1", deposit(1), 1)
    await write_row(store, b"{")

    with pytest.raises(UnreadableEvent, match="event 3 of stream 'account-1'"):
        await Projecting(events, Balances()).catch_up()

    assert await Balances.rows(store) == {"account-1": (100, 1)}


@FEATURES
async def test_a_method_that_hangs_is_ended(store: Store, events: EventStore) -> None:
    class Hanging(Balances, name="balances"):
        async def change(self, account: str, amount: Decimal, transaction: Transaction) -> None:
            await super().change(account, amount, transaction)
            await asyncio.Event().wait()

    await Balances.create(store)
    await events.append("account-1", deposit(1), 0)

    with pytest.raises(TimeoutError):
        await Projecting(events, Hanging(), timeout=0.05).catch_up()

    assert await Balances.rows(store) == {}


@pytest.mark.parametrize("place", ["postgres"], indirect=True)
async def test_a_running_projection_survives_an_outage_of_its_store(
    store: Store, events: EventStore, place: Place
) -> None:
    """The server ends every connection of ours, as a restart does."""
    await Balances.create(store)
    async with projecting(events, Balances()) as (running,):
        await events.append("account-1", deposit(1), 0)
        await eventually(lambda: running.position == 1, within=PATIENCE)
        await cut_all(place.url)
        await eventually(lambda: appended(events, 1), within=PATIENCE)
        await eventually(lambda: running.position == 2, within=PATIENCE)

    assert await Balances.rows(store) == {"account-1": (200, 2)}


async def appended(events: EventStore, version: int) -> bool:
    """Each try finds one of the connections that were cut."""
    from eventbus.store import StoreUnavailable

    try:
        await events.append("account-1", deposit(1), version)
    except StoreUnavailable:
        return False
    return True


async def cut_all(url: str) -> None:
    import asyncpg

    connection = await asyncpg.connect(url, timeout=30)
    try:
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    finally:
        await connection.close(timeout=5)
