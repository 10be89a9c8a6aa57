"""Streams: one writer wins, versions have no gap, and in the order of all streams nothing comes late."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from eventbus.errors import InvalidEvent
from eventbus.sourcing import InvalidStream, UnknownStream, VersionConflict
from eventbus.store import WrongTransaction
from tests.conformance.sizes import PATIENCE, WRITERS_OF_A_STREAM
from tests.conformance.store import drive
from tests.conformance.store.kinds import SHARED_SQL, SQL
from tests.conformance.store.streams import Deposited, DepositedV1, deposit, event_store

if TYPE_CHECKING:
    from eventbus.sourcing import EventStore
    from eventbus.store import Outbox, Store
    from tests.conformance.store.foreign import Foreign
    from tests.conformance.store.kinds import Place

ACCOUNT = "account-1"


@pytest.fixture
def events(store: Store) -> EventStore:
    return event_store(store)


async def amounts(events: EventStore, stream: str = ACCOUNT, from_version: int = 1) -> list[tuple[int, int]]:
    """Version and amount of each event."""
    found = [recorded async for recorded in events.read(stream, from_version)]
    return [(each.version, int(each.event.amount)) for each in found if isinstance(each.event, Deposited)]


async def positions(events: EventStore, after: int = 0) -> list[tuple[int | None, str, int]]:
    return [(each.position, each.stream, each.version) async for each in events.read_all(after)]


@SQL
async def test_a_stream_is_read_in_order_from_any_version(events: EventStore) -> None:
    assert await events.append(ACCOUNT, [deposit(1000), deposit(200)], 0) == 2
    assert await events.append(ACCOUNT, deposit(300), 2) == 3
    assert await events.append("account-2", deposit(7), 0) == 1

    assert await amounts(events) == [(1, 1000), (2, 200), (3, 300)]
    assert await amounts(events, from_version=3) == [(3, 300)]
    assert await amounts(events, from_version=4) == []
    assert await events.version(ACCOUNT) == 3
    assert await positions(events) == [
        (1, ACCOUNT, 1),
        (2, ACCOUNT, 2),
        (3, ACCOUNT, 3),
        (4, "account-2", 1),
    ]
    assert await positions(events, after=3) == [(4, "account-2", 1)]


@SQL
async def test_of_two_writers_at_the_same_version_one_wins_and_the_other_learns_of_it(
    events: EventStore, outbox: Outbox
) -> None:
    await events.append(ACCOUNT, deposit(1), 0)

    answers = await asyncio.gather(
        events.append(ACCOUNT, [deposit(2), deposit(3)], 1),
        events.append(ACCOUNT, [deposit(4), deposit(5)], 1),
        return_exceptions=True,
    )

    (conflict,) = [answer for answer in answers if answer != 3]
    assert isinstance(conflict, VersionConflict)
    assert (conflict.stream, conflict.expected, conflict.actual) == (ACCOUNT, 1, 3)
    assert await amounts(events) in ([(1, 1), (2, 2), (3, 3)], [(1, 1), (2, 4), (3, 5)])
    assert await drive.waiting_now(outbox) == 3


@SQL
@pytest.mark.parametrize("expected", [1, 7])
async def test_a_stream_that_is_missing_conflicts_with_any_version_but_0(
    events: EventStore, expected: int
) -> None:
    with pytest.raises(VersionConflict, match="does not exist") as raised:
        await events.append(ACCOUNT, deposit(), expected)

    assert raised.value.actual == 0
    assert await events.version(ACCOUNT) == 0


@SHARED_SQL
async def test_many_writers_give_versions_and_positions_without_a_gap(
    events: EventStore, other: Store
) -> None:
    count = WRITERS_OF_A_STREAM
    stores = [events, event_store(other)]

    async def write(number: int) -> None:
        await stores[number % 2].append(ACCOUNT, deposit(number), None)

    await asyncio.wait_for(asyncio.gather(*(write(number) for number in range(count))), PATIENCE)

    found = await amounts(events)
    assert [version for version, _ in found] == list(range(1, count + 1))
    assert sorted(amount for _, amount in found) == list(range(count))
    assert [position for position, _, _ in await positions(events)] == list(range(1, count + 1))


@SQL
async def test_appended_events_are_in_the_outbox_under_the_stream_as_their_key(
    events: EventStore, outbox: Outbox
) -> None:
    await events.append(ACCOUNT, [deposit(1), deposit(2)], 0)

    waiting = await drive.waiting(outbox)
    recorded = [each async for each in events.read(ACCOUNT)]
    assert [entry.key for entry in waiting] == [ACCOUNT, ACCOUNT]
    assert [entry.message.event_id for entry in waiting] == [each.envelope.event_id for each in recorded]
    assert waiting[0].message.routing_key == "money.deposited"


@SQL
async def test_an_append_keeps_the_causes_of_its_events(events: EventStore) -> None:
    await events.append(ACCOUNT, deposit(), 0, correlation_id="flow-1")
    first = (await anext(events.read(ACCOUNT))).envelope
    await events.append(ACCOUNT, deposit(), 1, cause=first)

    second = (await anext(events.read(ACCOUNT, 2))).envelope
    assert (first.correlation_id, first.causation_id) == ("flow-1", None)
    assert (second.correlation_id, second.causation_id) == ("flow-1", first.event_id)
    assert (second.source, second.key) == ("bank", ACCOUNT)


@SQL
async def test_an_append_in_a_transaction_is_true_with_its_commit(
    store: Store, events: EventStore, outbox: Outbox
) -> None:
    await drive.make_bookings(store)

    async with store.transaction() as transaction:
        await transaction.execute("INSERT INTO booking (name) VALUES ('one')")
        assert await events.append(ACCOUNT, deposit(), 0, transaction=transaction) == 1
        assert await events.version(ACCOUNT, transaction=transaction) == 1

    assert await events.version(ACCOUNT) == 1
    assert await drive.bookings(store) == ["one"]
    assert await drive.waiting_now(outbox) == 1


@SQL
async def test_an_append_is_gone_with_its_transaction(
    store: Store, events: EventStore, outbox: Outbox
) -> None:
    async def fail() -> None:
        async with store.transaction() as transaction:
            await events.append(ACCOUNT, deposit(), 0, transaction=transaction)
            raise KeyError

    with pytest.raises(KeyError):
        await fail()

    assert await events.version(ACCOUNT) == 0
    assert await drive.waiting_now(outbox) == 0
    assert await events.append(ACCOUNT, deposit(), 0) == 1


@SQL
async def test_a_conflict_leaves_the_transaction_to_its_owner(store: Store, events: EventStore) -> None:
    await drive.make_bookings(store)
    await events.append(ACCOUNT, deposit(), 0)

    async with store.transaction() as transaction:
        with pytest.raises(VersionConflict):
            await events.append(ACCOUNT, deposit(), 0, transaction=transaction)
        await transaction.execute("INSERT INTO booking (name) VALUES ('rejected')")

    assert await drive.bookings(store) == ["rejected"]


@SHARED_SQL
async def test_an_append_joins_a_connection_of_the_user(
    events: EventStore, outbox: Outbox, foreign: Foreign
) -> None:
    await foreign.execute("BEGIN")
    await events.append(ACCOUNT, deposit(), 0, transaction=foreign.connection)
    await foreign.execute("ROLLBACK")
    await foreign.execute("BEGIN")
    await events.append(ACCOUNT, [deposit(2), deposit(3)], 0, transaction=foreign.connection)
    assert await events.version(ACCOUNT, transaction=foreign.connection) == 2
    assert await events.version(ACCOUNT) == 0
    await foreign.execute("COMMIT")

    assert await amounts(events) == [(1, 2), (2, 3)]
    assert await drive.waiting_now(outbox) == 2


@SHARED_SQL
async def test_outside_of_a_transaction_of_the_user_nothing_is_appended(
    events: EventStore, foreign: Foreign
) -> None:
    with pytest.raises(WrongTransaction):
        await events.append(ACCOUNT, deposit(), 0, transaction=foreign.connection)

    assert await events.version(ACCOUNT) == 0


@pytest.mark.parametrize("place", ["postgres"], indirect=True)
async def test_what_commits_late_comes_behind_what_was_read_already(
    events: EventStore, foreign: Foreign
) -> None:
    """SQLite has one writer at a time: there nobody can commit in another order than he wrote in."""
    await foreign.execute("BEGIN")
    await events.append("early", [deposit(1), deposit(2)], 0, transaction=foreign.connection)
    await events.append("late", deposit(3), 0)

    read = await positions(events)
    assert read == [(1, "late", 1)]
    await foreign.execute("COMMIT")
    await events.append("late", deposit(4), 1)

    assert await positions(events, after=1) == [(2, "early", 1), (3, "early", 2), (4, "late", 2)]


@SHARED_SQL
async def test_readers_of_the_order_miss_nothing_while_transactions_overlap(
    store: Store, other: Store, place: Place
) -> None:
    """Each writer holds its transaction open for a while, or rolls it back; two readers only go on."""
    writers, each = (8, 10) if place.kind == "postgres" else (3, 4)
    stores = [event_store(store), event_store(other)]
    done = asyncio.Event()

    async def write(writer: int) -> None:
        home, events = [(store, stores[0]), (other, stores[1])][writer % 2]
        for number in range(each):
            async with home.transaction() as transaction:
                await events.append(f"of-{writer}", deposit(number), number, transaction=transaction)
                await asyncio.sleep((writer + number) % 3 / 500)

    async def follow(events: EventStore) -> list[tuple[int | None, str, int]]:
        seen: list[tuple[int | None, str, int]] = []
        while True:
            was_done = done.is_set()
            new = await positions(events, seen[-1][0] or 0 if seen else 0)
            seen += new
            if was_done and not new:
                return seen
            await asyncio.sleep(0)

    readers = [asyncio.create_task(follow(events)) for events in stores]
    await asyncio.wait_for(asyncio.gather(*map(write, range(writers))), PATIENCE)
    done.set()
    first, second = await asyncio.gather(*readers)

    assert first == second == await positions(stores[0])
    assert [position for position, _, _ in first] == list(range(1, writers * each + 1))
    for writer in range(writers):
        versions = [version for _, stream, version in first if stream == f"of-{writer}"]
        assert versions == list(range(1, each + 1))


@SQL
async def test_an_old_version_is_read_through_the_upcasters(events: EventStore) -> None:
    await events.append(ACCOUNT, [DepositedV1(cents=1000), deposit(5)], 0)

    assert await amounts(events) == [(1, 10), (2, 5)]
    recorded = [each async for each in events.read_all()]
    assert (recorded[0].envelope.version, recorded[0].envelope.data) == ("1.0", deposit(10))


@SQL
async def test_an_unknown_stream_is_told_from_an_empty_end(events: EventStore) -> None:
    assert await events.version("nobody") == 0

    with pytest.raises(UnknownStream, match="no stream 'nobody'"):
        await amounts(events, "nobody")


@SQL
async def test_bad_input_is_refused_before_anything_is_written(events: EventStore, outbox: Outbox) -> None:
    for stream in ("", "a" * 256, "ä" * 128, "line\nbreak", "nul\0", "\ud800"):
        with pytest.raises(InvalidStream, match="255 bytes") as raised:
            await events.append(stream, deposit(), 0)
        assert raised.value.field == "stream"
        with pytest.raises(InvalidStream):
            await amounts(events, stream)
    for expected in (-1, True, 2**60):
        with pytest.raises(InvalidStream, match="expected_version"):
            await events.append(ACCOUNT, deposit(), expected)
    with pytest.raises(InvalidStream, match="from_version"):
        await amounts(events, from_version=0)
    with pytest.raises(InvalidStream, match="events must be one at least"):
        await events.append(ACCOUNT, [], 0)
    with pytest.raises(InvalidEvent):
        await events.append(ACCOUNT, [deposit(), Deposited.model_construct(amount="much")], 0)  # type: ignore[arg-type]

    assert await positions(events) == []
    assert await drive.waiting_now(outbox) == 0
