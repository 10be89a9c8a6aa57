"""A store that comes back from a backup has forgotten what was handled since; a replay brings it again."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from eventbus import Bus, Service, Transaction, subscribe
from eventbus.replay import ReplayRequest
from eventbus.settings import Settings
from tests.integration.history.events import Booked, Closed, bookings
from tests.support.eventually import eventually


@subscribe(Booked)
async def ledger(event: Booked, transaction: Transaction) -> Closed:
    await transaction.execute("CREATE TABLE IF NOT EXISTS booked (number INTEGER)")
    await transaction.execute("INSERT INTO booked VALUES (?)", event.number)
    return Closed(account=event.number)


class Closings:
    def __init__(self) -> None:
        self.handled: list[int] = []

        @subscribe(Closed)
        async def closing(event: Closed) -> None:
            self.handled.append(event.account)

        self.service = Service("audit", [closing])


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


def copy(there: Path, here: Path) -> None:
    """As `sqlite3 there ".backup here"`."""
    with closing(sqlite3.connect(there)) as source, closing(sqlite3.connect(here)) as target:
        source.backup(target)


def booked(kept: Path) -> list[int]:
    with closing(sqlite3.connect(kept)) as connection:
        return [number for (number,) in connection.execute("SELECT number FROM booked ORDER BY number")]


async def test_what_was_handled_since_the_backup_is_handled_again_and_nothing_twice(
    settings: Settings, kept: Path, tmp_path: Path
):
    bank, closings = Service("bank", [ledger]), Closings()
    with_store = settings.model_copy(update={"store": f"sqlite:///{kept}"})
    elsewhere = settings.model_copy(update={"store": f"sqlite:///{tmp_path / 'audit.db'}"})
    async with Bus(source="audit", settings=elsewhere) as audit, audit.running(closings.service):
        for first in (0, 10):
            async with Bus(source="bank", settings=with_store) as bus, bus.running(bank):
                await bus.publish_many(bookings(10, first))
                await eventually(lambda first=first: len(closings.handled) == first + 10, within=20)
            if first == 0:
                copy(kept, tmp_path / "backup.db")
        assert booked(kept) == [*range(20)]

        copy(tmp_path / "backup.db", kept)
        assert booked(kept) == [*range(10)]
        async with Bus(source="bank", settings=with_store) as bus, bus.running(bank):
            replays = await bus.replays()
            done = await replays.run(await replays.prepare(ReplayRequest("bank.ledger")))
            await eventually(lambda: booked(kept) == [*range(20)], within=20)

        assert done.sent == 20
        assert sorted(closings.handled) == [*range(20)]  # what the second run published has the same ids
