"""Aggregates are loaded from their events, act, and are saved where nobody was faster."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from eventbus.event_store import Appending, StoredSnapshot
from eventbus.sourcing import Repository, UnappliedEvent, UnknownStream, UnreadableEvent, VersionConflict
from eventbus.sourcing.aggregate import snapshot_kind
from eventbus.transport import Message
from tests.conformance.store.kinds import FEATURES
from tests.conformance.store.streams import Account, Deposited, DepositedV1, deposit, event_store

if TYPE_CHECKING:
    from eventbus.sourcing import EventStore
    from eventbus.store import Store


@pytest.fixture
def events(store: Store) -> EventStore:
    return event_store(store)


async def write_row(
    store: Store, body: bytes, *, event_type: str = "money.deposited", version: str = "2.0"
) -> None:
    """What another program, or damage, has left at the end of account 1."""
    assert store.streams is not None
    message = Message(body, event_type)
    await store.streams.append(Appending("account-1", None, [message], [None], [version]))


@FEATURES
async def test_an_account_is_what_its_events_come_to(events: EventStore) -> None:
    accounts = Repository(events, Account)
    account = Account(id="1")
    for amount in (1000, 200, 300):
        account.deposit(amount)
    account.withdraw(200)
    assert (account.balance, account.version, len(account.pending)) == (1300, 0, 4)

    assert await accounts.save(account) == 4
    assert (account.version, account.pending) == (4, ())

    loaded = await accounts.load("1")
    assert (loaded.balance, loaded.version) == (1300, 4)


@FEATURES
async def test_who_saves_second_learns_of_it_and_may_decide_anew(events: EventStore) -> None:
    accounts = Repository(events, Account)
    await accounts.act("1", lambda account: account.deposit(100), create=True)
    first, second = await accounts.load("1"), await accounts.load("1")
    first.withdraw(80)
    second.withdraw(80)
    await accounts.save(first)

    with pytest.raises(VersionConflict, match=r"attempts=5") as raised:
        await accounts.save(second)

    assert (raised.value.expected, raised.value.actual) == (1, 2)
    with pytest.raises(ValueError, match="not enough money"):
        await accounts.act("1", lambda account: account.withdraw(80), attempts=5)


@FEATURES
async def test_acting_again_on_a_conflict_loses_no_update(events: EventStore) -> None:
    accounts = Repository(events, Account, snapshot_every=5)
    await accounts.act("1", lambda account: account.deposit(1), create=True)

    async def add() -> None:
        await accounts.act("1", lambda account: account.deposit(1), attempts=50)

    await asyncio.gather(*(add() for _ in range(10)))

    account = await accounts.load("1")
    assert (account.balance, account.version) == (11, 11)


@FEATURES
async def test_a_decision_may_wait_for_something(events: EventStore) -> None:
    async def decide(account: Account) -> None:
        await asyncio.sleep(0)
        account.deposit(5)

    account = await Repository(events, Account).act("1", decide, create=True)

    assert (account.balance, account.version) == (5, 1)


@FEATURES
async def test_without_leave_to_act_again_a_conflict_is_raised(events: EventStore) -> None:
    accounts = Repository(events, Account)
    await accounts.act("1", lambda account: account.deposit(1), create=True)

    answers = await asyncio.gather(
        *(accounts.act("1", lambda account: account.deposit(1)) for _ in range(8)), return_exceptions=True
    )

    won = [answer for answer in answers if isinstance(answer, Account)]
    lost = [answer for answer in answers if isinstance(answer, VersionConflict)]
    assert len(won) >= 1
    assert len(won) + len(lost) == 8
    assert (await accounts.load("1")).balance == 1 + len(won)


@FEATURES
async def test_in_a_transaction_an_aggregate_sees_what_that_has_saved(
    store: Store, events: EventStore
) -> None:
    accounts = Repository(events, Account, snapshot_every=2)

    async with store.transaction() as transaction:
        await accounts.act("1", lambda account: account.deposit(5), create=True, transaction=transaction)
        await accounts.act("1", lambda account: account.withdraw(2), transaction=transaction)

    assert (await accounts.load("1")).balance == 3


@FEATURES
async def test_a_snapshot_of_a_transaction_that_is_rolled_back_is_gone_with_it(
    store: Store, events: EventStore
) -> None:
    accounts = Repository(events, Account, snapshot_every=1)

    async def fail() -> None:
        async with store.transaction() as transaction:
            await accounts.act("1", lambda account: account.deposit(5), create=True, transaction=transaction)
            raise KeyError

    with pytest.raises(KeyError):
        await fail()

    assert await accounts.find("1") is None


@FEATURES
async def test_with_snapshots_only_what_is_newer_is_read(store: Store, events: EventStore) -> None:
    accounts = Repository(events, Account, snapshot_every=10)
    for _ in range(12):
        await accounts.act("1", lambda account: account.deposit(1), create=True)
    assert store.streams is not None
    taken = await store.streams.snapshot("account-1", snapshot_kind(Account))
    assert taken is not None
    assert taken.version == 10

    forged = Account(id="1", balance=Decimal(1000)).model_dump_json().encode()
    await store.streams.keep_snapshot("account-1", snapshot_kind(Account), StoredSnapshot(11, forged))

    assert (await accounts.load("1")).balance == 1001
    assert (await Repository(events, Account).load("1")).balance == 12


@FEATURES
@pytest.mark.parametrize(("kind", "state"), [("Account.0", b'{"id": "1", "balance": "9"}'), (None, b"{")])
async def test_a_snapshot_of_another_class_or_a_damaged_one_is_not_used(
    store: Store, events: EventStore, kind: str | None, state: bytes
) -> None:
    accounts = Repository(events, Account, snapshot_every=2)
    await accounts.act("1", lambda account: account.deposit(7), create=True)
    assert store.streams is not None
    await store.streams.keep_snapshot("account-1", kind or snapshot_kind(Account), StoredSnapshot(1, state))

    assert (await accounts.load("1")).balance == 7


@FEATURES
async def test_an_aggregate_reads_old_versions_through_the_upcasters(events: EventStore) -> None:
    await events.append("account-1", [DepositedV1(cents=500), deposit(1)], 0)

    assert (await Repository(events, Account).load("1")).balance == 6


@FEATURES
async def test_an_aggregate_that_does_not_exist_is_told(events: EventStore) -> None:
    accounts = Repository(events, Account)

    assert await accounts.find("7") is None
    with pytest.raises(UnknownStream, match="account-7"):
        await accounts.load("7")
    with pytest.raises(UnknownStream, match="account-7"):
        await accounts.act("7", lambda account: account.deposit(1))


@FEATURES
async def test_a_damaged_event_is_named_with_its_stream_version_and_reason(
    store: Store, events: EventStore
) -> None:
    accounts = Repository(events, Account)
    envelope = b'{"event_id":"evt_1","event_type":"money.deposited","timestamp":"2025-02-15T10:00:00Z",'
    await accounts.act("1", lambda account: account.deposit(1), create=True)
    for body, version, reason in (
        (b"{", "2.0", "undecodable"),
        (envelope + b'"version":"2.0","data":{"amount":"much"}}', "2.0", "invalid-data"),
        (envelope + b'"version":"9.0","data":{"amount":"1"}}', "9.0", "unsupported-version"),
    ):
        await write_row(store, body, version=version)
        newest = await events.version("account-1")
        with pytest.raises(UnreadableEvent) as raised:
            [each async for each in events.read("account-1", newest)]
        assert (raised.value.stream, raised.value.version) == ("account-1", newest)
        assert raised.value.reason == reason

    with pytest.raises(UnreadableEvent, match="event 2 of stream 'account-1'"):
        await accounts.load("1")


@FEATURES
async def test_an_event_of_an_unknown_type_is_told(store: Store, events: EventStore) -> None:
    await events.append("account-1", Deposited(amount=Decimal(1)), 0)
    await write_row(store, b"{}", event_type="money.burnt")

    with pytest.raises(UnappliedEvent, match=r"no @applies method for money\.burnt"):
        await Repository(events, Account).load("1")
    with pytest.raises(UnreadableEvent):
        [each async for each in events.read("account-1")]
