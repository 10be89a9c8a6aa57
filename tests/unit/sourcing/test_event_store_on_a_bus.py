"""An event store of a bus: its events reach the subscribers, and handlers append in their transaction."""

from __future__ import annotations

from decimal import Decimal

import pytest
from pydantic import model_validator

from eventbus import Bus, Context, Envelope, Event, EventBusError, Service, Transaction, subscribe
from eventbus.errors import ConfigurationError, InvalidEvent, UnregisteredEvent
from eventbus.event_store import Appending
from eventbus.sourcing import Aggregate, EventStore, Repository, UnreadableEvent, applies
from eventbus.testing import TestBus
from eventbus.transport import Message
from tests.conformance.store.streams import Account, Deposited, Withdrawn
from tests.support.eventually import eventually


class FeeWasDue(Event, type="fee.due"):
    account: str
    amount: Decimal


async def test_what_is_appended_reaches_the_subscribers():
    handled: list[Envelope[Deposited]] = []

    @subscribe(Deposited)
    async def audit(event: Envelope[Deposited]) -> None:
        handled.append(event)

    async with TestBus(Service("audit", [audit])) as bus:
        events = EventStore(bus.bus, [Deposited])
        await events.append("account-1", [Deposited(amount=Decimal(5)), Deposited(amount=Decimal(7))], 0)
        await bus.settle()
        recorded = [each async for each in events.read("account-1")]

    assert [each.key for each in handled] == ["account-1", "account-1"]
    assert [each.event_id for each in handled] == [each.envelope.event_id for each in recorded]


async def test_a_handler_appends_in_its_transaction_and_names_the_cause():
    stores: list[Repository[Account]] = []
    fails = [True]

    @subscribe(FeeWasDue)
    async def take_fee(event: FeeWasDue, context: Context, transaction: Transaction) -> None:
        accounts = stores[0]
        await accounts.act(
            event.account,
            lambda account: account.withdraw(int(event.amount)),
            cause=context.envelope,
            transaction=transaction,
        )
        if fails.pop():
            fails.append(False)
            raise OSError("just once")

    async with TestBus(Service("fees", [take_fee])) as bus:
        events = EventStore(bus.bus)
        stores.append(Repository(events, Account, snapshot_every=1))
        await stores[0].act("1", lambda account: account.deposit(10), create=True)
        fee = await bus.publish(FeeWasDue(account="1", amount=Decimal(3)))
        await bus.advance(60)
        recorded = [each async for each in events.read("account-1")]

    assert [type(each.event) for each in recorded] == [Deposited, Withdrawn]
    assert recorded[1].envelope.causation_id == fee.event_id
    assert bus.published(Withdrawn) == [Withdrawn(amount=Decimal(3))]
    assert not bus.dead_letters


async def test_it_can_be_made_before_the_bus_is_open_and_used_only_then():
    bus = Bus("sqlite://:memory:", source="bank")
    events = EventStore(bus, [Deposited])

    with pytest.raises(EventBusError, match="the bus is not open"):
        await events.append("account-1", Deposited(amount=Decimal(1)), 0)
    async with bus:
        assert await events.append("account-1", Deposited(amount=Decimal(1)), 0) == 1
    with pytest.raises(EventBusError, match="the bus is not open"):
        await events.version("account-1")


async def test_it_lies_in_the_file_of_the_embedded_broker_and_is_there_again():
    for version in (0, 1):
        async with Bus("sqlite:///eventbus.db", source="bank") as bus:
            events = EventStore(bus, [Deposited])
            assert await events.append("account-1", Deposited(amount=Decimal(1)), version) == version + 1


async def test_the_relay_of_the_bus_sends_it_on():
    handled: list[Deposited] = []

    @subscribe(Deposited)
    async def note(event: Deposited) -> None:
        handled.append(event)

    async with Bus("sqlite:///eventbus.db", source="bank") as bus, bus.running(Service("notes", [note])):
        await EventStore(bus, [Deposited]).append("account-1", Deposited(amount=Decimal(1)), None)
        await eventually(lambda: handled)

    assert handled == [Deposited(amount=Decimal(1))]


async def test_a_store_that_is_an_inbox_only_keeps_no_events():
    async with Bus("sqlite://:memory:", source="bank", store="memory://") as bus:
        with pytest.raises(ConfigurationError, match="inbox only"):
            await EventStore(bus, [Deposited]).append("account-1", Deposited(amount=Decimal(1)), 0)


async def test_what_this_store_could_not_read_again_is_refused():
    async with Bus("sqlite://:memory:", source="bank") as bus:
        events = EventStore(bus, [Deposited])
        with pytest.raises(UnregisteredEvent, match=r"fee\.due .* EventStore\(bus"):
            await events.append("account-1", FeeWasDue(account="1", amount=Decimal(1)), 0)
        with pytest.raises(InvalidEvent, match="must be Events"):
            await events.append("account-1", ["deposit"], 0)  # type: ignore[list-item]
        given = Envelope.wrap(Deposited(amount=Decimal(1)), event_id="evt_1", timestamp=bus.clock.now())
        await events.append("account-1", given, 0)

        assert (await anext(events.read("account-1"))).envelope.event_id == "evt_1"


class Renamed(Event, type="account.renamed"):
    """A validator of its own came later than the first events."""

    names: dict[str, str]

    @model_validator(mode="after")
    def has_a_family_name(self) -> Renamed:
        assert self.names["family"] is not None
        return self


class Person(Aggregate, stream="person"):
    @applies
    def on_renamed(self, event: Renamed) -> None: ...


async def test_an_old_event_at_which_a_validator_raises_anything_is_named_with_stream_and_version():
    async with Bus("sqlite://:memory:", source="bank") as bus:
        events = EventStore(bus, [Renamed])
        body = (
            b'{"event_id":"evt_1","event_type":"account.renamed","timestamp":"2025-02-15T10:00:00Z",'
            b'"version":"1.0","data":{"names":{}}}'
        )
        old = Message(body, "account.renamed")
        await (await events.streams()).append(Appending("person-1", None, [old], [None], ["1.0"]))

        with pytest.raises(UnreadableEvent, match=r"event 1 of stream 'person-1' .* KeyError: 'family'"):
            await anext(events.read("person-1"))
        with pytest.raises(UnreadableEvent, match="invalid-data"):
            await Repository(events, Person).load("1")
