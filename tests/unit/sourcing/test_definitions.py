"""What cannot work about an aggregate or a projection is told when it is defined, or first used."""

from __future__ import annotations

from decimal import Decimal

import pytest
from pydantic import PrivateAttr, create_model

from eventbus import Event, Transaction, upcast
from eventbus.errors import ConfigurationError
from eventbus.sourcing import (
    Aggregate,
    EventStore,
    Projecting,
    Projection,
    Recorded,
    Repository,
    UnappliedEvent,
    applies,
    projects,
)
from eventbus.sourcing.aggregate import snapshot_kind
from tests.conformance.store.streams import Account, Deposited, Host, KeptStore, Withdrawn


class OpenedV1(Event, type="account.opened", version="1.0"):
    name: str


class Opened(Event, type="account.opened", version="2.0"):
    owner: str


@upcast
def the_owner_was_called_name(old: OpenedV1) -> Opened:
    return Opened(owner=old.name)


@pytest.fixture
def events() -> EventStore:
    """Of no store: nothing is asked of it."""
    return EventStore(Host(KeptStore(None)))  # type: ignore[arg-type]


def test_the_decisions_of_an_aggregate_are_tested_without_any_store():
    account = Account(id="1")
    account.replay(Deposited(amount=Decimal(100)))

    account.withdraw(30)

    assert account.pending == (Withdrawn(amount=Decimal(30)),)
    assert account.balance == 70
    with pytest.raises(ValueError, match="not enough money"):
        account.withdraw(71)
    assert len(account.pending) == 1


def test_an_event_that_the_aggregate_does_not_apply_is_not_recorded():
    account = Account(id="1")

    with pytest.raises(UnappliedEvent, match="Account has no @applies method for Opened"):
        account.record(Opened(owner="Ada"))

    assert account.pending == ()


def test_a_subclass_inherits_what_is_applied():
    class Savings(Account, stream="savings"):
        owner: str = ""

        @applies
        def on_opened(self, event: Opened) -> None:
            self.owner = event.owner

    savings = Savings(id="1")
    savings.record(Opened(owner="Ada"))
    savings.deposit(5)

    assert (savings.owner, savings.balance, savings.stream) == ("Ada", 5, "savings-1")


def test_two_methods_for_one_event_type_are_refused():
    with pytest.raises(ConfigurationError, match=r"on_old and on_new are both for account\.opened"):

        class Twice(Aggregate, stream="twice"):
            @applies
            def on_old(self, event: OpenedV1) -> None: ...

            @applies
            def on_new(self, event: Opened) -> None: ...


def test_a_method_without_an_event_is_refused():
    with pytest.raises(ConfigurationError, match="write it as def on_deposited"):

        class Untyped(Aggregate, stream="untyped"):
            @applies
            def on_deposited(self, event) -> None: ...

    with pytest.raises(ConfigurationError, match="write it as async def on_deposited"):

        class Bare(Projection, name="bare"):
            @projects
            async def on_deposited(self, event: Deposited, transaction: Transaction) -> None: ...


@pytest.mark.parametrize("stream", ["Account", "account-1", "1st", "ä", "a" * 101])
def test_a_name_for_streams_has_one_form(stream: str):
    with pytest.raises(ConfigurationError, match="lower-case"):

        class Named(Aggregate, stream=stream): ...


def test_a_repository_refuses_what_has_no_beginning_or_no_stream(events: EventStore):
    class Unfinished(Aggregate, stream="unfinished"):
        owner: str

    class Part(Aggregate): ...

    with pytest.raises(ConfigurationError, match=r"Unfinished\.owner has no default"):
        Repository(events, Unfinished)
    with pytest.raises(ConfigurationError, match=r'declare `class .*Part\(Aggregate, stream="…"\)`'):
        Repository(events, Part)
    with pytest.raises(ConfigurationError, match="snapshot_every=0"):
        Repository(events, Account, snapshot_every=0)


def test_a_state_that_a_snapshot_would_lose_is_refused(events: EventStore):
    class Hiding(Aggregate, stream="hiding"):
        _seen: int = PrivateAttr(default=0)

    Repository(events, Hiding)
    with pytest.raises(ConfigurationError, match=r"Hiding\._seen is private"):
        Repository(events, Hiding, snapshot_every=10)


def test_snapshots_of_a_class_with_other_fields_or_another_revision_are_others():
    def make(revision: int, kind: type) -> type[Aggregate]:
        named = {"stream": "account", "revision": revision}
        return create_model("Account", __base__=Aggregate, __cls_kwargs__=named, balance=(kind, kind(0)))

    kinds = {snapshot_kind(make(*each)) for each in [(1, Decimal), (1, Decimal), (1, int), (2, Decimal)]}
    assert len(kinds) == 3


def test_a_projection_without_a_name_or_a_reset_says_so(events: EventStore):
    class Nameless(Projection): ...

    with pytest.raises(ConfigurationError, match=r'declare `class .*Nameless\(Projection, name="…"\)`'):
        Projecting(events, Nameless())
    with pytest.raises(ConfigurationError, match="printable ASCII"):

        class Long(Projection, name="ä"): ...


async def test_a_projection_that_cannot_be_emptied_cannot_be_rebuilt():
    class Growing(Projection, name="growing"):
        @projects
        async def on_deposited(self, recorded: Recorded[Deposited], transaction: Transaction) -> None: ...

    with pytest.raises(ConfigurationError, match="cannot be rebuilt"):
        await Growing().reset(None)  # type: ignore[arg-type]
