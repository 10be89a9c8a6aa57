"""Snapshots are a hint: one that cannot be taken, or would tell something else, is not there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from eventbus import Bus, Event
from eventbus.sourcing import Aggregate, EventStore, Repository, applies

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
