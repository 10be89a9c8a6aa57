"""Snapshots are a hint: one that cannot be taken, or would tell something else, is not there."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from pydantic import BaseModel, Field, field_validator

from eventbus import Bus, Event
from eventbus.event_store import StoredSnapshot
from eventbus.sourcing import Aggregate, EventStore, Repository, applies
from eventbus.sourcing.aggregate import snapshot_kind

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator


class Scanned(Event, type="ticket.scanned"):
    number: int


class Ticket(Aggregate, stream="ticket"):
    """JSON has no form for its code, once it is scanned."""

    code: bytes = b""

    @applies
    def on_scanned(self, event: Scanned) -> None:
        self.code = bytes([event.number])


@pytest_asyncio.fixture
async def bus() -> AsyncGenerator[Bus]:
    async with Bus("sqlite://:memory:", source="hall") as bus:
        yield bus


@pytest.fixture
def events(bus: Bus) -> EventStore:
    return EventStore(bus)


async def test_a_state_that_has_no_json_is_saved_without_a_snapshot(
    events: EventStore, caplog: pytest.LogCaptureFixture
):
    tickets = Repository(events, Ticket, snapshot_every=1)
    ticket = Ticket(id="1")
    ticket.record(Scanned(number=0xFF))

    assert await tickets.save(ticket) == 1

    assert (await tickets.load("1")).code == b"\xff"
    assert caplog.messages[0].startswith("snapshot.not_taken stream=ticket-1")


async def test_in_a_transaction_too_a_state_without_json_is_saved(
    events: EventStore, caplog: pytest.LogCaptureFixture
):
    tickets = Repository(events, Ticket, snapshot_every=1)

    async with (await events.store()).transaction() as transaction:
        await tickets.act(
            "1", lambda ticket: ticket.record(Scanned(number=0xFF)), create=True, transaction=transaction
        )

    assert (await tickets.load("1")).version == 1
    assert caplog.messages[0].startswith("snapshot.not_taken stream=ticket-1")


async def test_an_error_of_keeping_a_snapshot_is_none_of_saving(
    events: EventStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    async def fail(*_: object) -> None:
        raise OSError("disk full")

    tickets = Repository(events, Ticket, snapshot_every=1)
    monkeypatch.setattr(await events.streams(), "keep_snapshot", fail)

    await tickets.act("1", lambda ticket: ticket.record(Scanned(number=1)), create=True)

    assert (await tickets.load("1")).code == b"\x01"
    assert caplog.messages == ["snapshot.not_taken stream=ticket-1 problem=OSError: disk full"]


class Part(BaseModel):
    name: str


class Seat(Part):
    row: int


class Hall(Aggregate, stream="hall"):
    """None of its fields comes back out of JSON as it was."""

    seats: dict = Field(default_factory=dict)  # type: ignore[type-arg]
    facts: dict[str, Any] = Field(default_factory=dict[str, Any])
    part: Part | None = None

    @applies
    def on_scanned(self, event: Scanned) -> None:
        match event.number:
            case 1:
                self.seats[event.number] = "taken"
            case 2:
                self.facts["price"] = Decimal("9.50")
            case _:
                self.part = Seat(name="front", row=event.number)


@pytest.mark.parametrize(("number", "field"), [(1, "seats"), (2, "facts"), (3, "part")])
async def test_a_state_that_a_snapshot_would_change_is_read_from_its_events(
    events: EventStore, caplog: pytest.LogCaptureFixture, number: int, field: str
):
    halls = Repository(events, Hall, snapshot_every=1)
    await halls.act("1", lambda hall: hall.record(Scanned(number=number)), create=True)

    assert await halls.load("1") == await Repository(events, Hall).load("1")
    assert caplog.messages[0].startswith(f"snapshot.lossy aggregate=Hall stream=hall-1 fields={field}")


async def test_that_snapshots_would_change_a_state_is_told_once_for_its_class(
    events: EventStore, caplog: pytest.LogCaptureFixture
):
    halls = Repository(events, Hall, snapshot_every=1)

    for number in (1, 2, 3):
        await halls.act("1", lambda hall, number=number: hall.record(Scanned(number=number)), create=True)

    assert len(caplog.messages) == 1


async def test_a_snapshot_that_a_validator_breaks_at_is_not_used(
    events: EventStore, caplog: pytest.LogCaptureFixture
):
    class Strict(Aggregate, stream="strict"):
        count: int = 0

        @applies
        def on_scanned(self, event: Scanned) -> None:
            self.count = event.number

        @field_validator("count")
        @classmethod
        def known(cls, count: int) -> int:
            return {0: 0, 1: 1}[count]

    stricts = Repository(events, Strict, snapshot_every=2)
    await stricts.act("1", lambda strict: strict.record(Scanned(number=1)), create=True)
    state = b'{"id": "1", "count": 7}'
    await (await events.streams()).keep_snapshot("strict-1", snapshot_kind(Strict), StoredSnapshot(1, state))

    assert (await stricts.load("1")).count == 1
    assert caplog.messages[0].startswith("snapshot.unreadable stream=strict-1")
