"""A worker that is killed in each phase of catching up: another goes on, and every event is handled once."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from eventbus import Bus, Envelope
from eventbus.ids import new_event_id
from tests.conformance.process import Process
from tests.conformance.sizes import FULL
from tests.faults.catch_up_program import POINTS, STORE, Booked
from tests.support.eventually import eventually
from tests.support.load import bus_to

PROGRAM = "tests.faults.catch_up_program"
STARTING = 30.0
ACCOUNTS = 7
BEFORE = 1_000 if FULL else 300
"""Published before there is the subscription; more come until its worker was killed, and after that."""


@pytest.fixture(params=["embedded", "rabbitmq"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "rabbitmq":
        return str(request.getfixturevalue("amqp_url"))
    return f"sqlite:///{tmp_path / 'events.db'}"


class Publisher:
    """Numbers bookings, each of an account that is its key."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self.count = 0

    async def publish(self, count: int) -> None:
        envelopes = [
            Envelope.wrap(
                Booked(account=n % ACCOUNTS, number=n),
                event_id=new_event_id(),
                timestamp=datetime.now(UTC),
                key=f"account-{n % ACCOUNTS}",
            )
            for n in range(self.count, self.count + count)
        ]
        await self._bus.publish_many(envelopes)
        self.count += count

    @asynccontextmanager
    async def publishing(self) -> AsyncIterator[None]:
        """About 200 events a second beside the block."""

        stop = asyncio.Event()

        async def go_on() -> None:
            while not stop.is_set():
                await self.publish(10)
                await asyncio.sleep(0.05)

        task = asyncio.create_task(go_on())
        try:
            yield
        finally:
            stop.set()  # and no cancelling: what is sent then is numbered, or its numbers are given twice
            await task


@pytest.mark.parametrize("point", POINTS)
async def test_a_subscription_whose_worker_is_killed_while_it_catches_up_handles_everything_once_and_in_order(
    url: str, tmp_path: Path, point: str
):
    async with bus_to(url) as bus:
        publisher = Publisher(bus)
        await publisher.publish(BEFORE)
        dying = Process.started(PROGRAM, url, point, log=tmp_path / "first.log")
        async with publisher.publishing(), dying as first:
            await first.ends(within=STARTING)
        await publisher.publish(50)
        async with Process.started(PROGRAM, url, "never", log=tmp_path / "second.log"):
            await eventually(lambda: len(handled(tmp_path)) >= publisher.count, within=60)
            await publisher.publish(50)
            await eventually(lambda: len(handled(tmp_path)) >= publisher.count, within=60)

    by_account: defaultdict[int, list[int]] = defaultdict(list)
    for account, number in handled(tmp_path):
        by_account[account].append(number)
    wanted = {account: list(range(account, publisher.count, ACCOUNTS)) for account in range(ACCOUNTS)}
    assert {account: sorted(numbers) for account, numbers in by_account.items()} == wanted
    # What is certainly of the history. The live phase promises no order: what a killed worker had in hand
    # comes again behind what others have handled meanwhile.
    of_history = {
        account: [number for number in numbers if number < BEFORE] for account, numbers in by_account.items()
    }
    assert of_history == {account: list(range(account, BEFORE, ACCOUNTS)) for account in range(ACCOUNTS)}


def handled(place: Path) -> list[tuple[int, int]]:
    """Account and number, in the order in which they were committed."""
    with closing(sqlite3.connect(place / STORE, timeout=10)) as database:
        return list(database.execute("SELECT account, number FROM booked ORDER BY rowid"))
