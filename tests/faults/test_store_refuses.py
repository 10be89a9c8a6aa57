"""The store's disk is full, or may not be written any more: handlers wait, nothing is lost or done twice."""

from __future__ import annotations

import asyncio
import resource
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import pytest
from structlog.testing import capture_logs

from eventbus import Bus, Event, Service, Subscription, Transaction, subscribe
from eventbus.service import topology
from eventbus.settings import Settings
from eventbus.stores.sqlite.store import SqliteStore
from tests.conformance.process import Process
from tests.support.eventually import eventually
from tests.support.ledger import Ledger
from tests.support.load import TYPE, auditing, bus_to

STARTING: Final = 30.0
EVENTS: Final = 10
SMALL: Final = 16_384
"""Bytes: what the store has written to its log before it handles anything is more."""


class Asked(Event, type="store.asked"):
    number: int


@contextmanager
def full_disk(process: Process) -> Iterator[None]:
    """None of its files may grow beyond a size that the store's have already."""
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (SMALL, resource.RLIM_INFINITY))
    try:
        yield
    finally:
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)


async def test_while_the_disk_is_full_handlers_wait_and_then_each_event_is_handled_once(
    amqp_url: str, tmp_path: Path
):
    log = tmp_path / "worker.log"

    async def publish() -> None:
        for number in range(EVENTS):
            await bus.publish(TYPE, {"order_id": number})

    async with bus_to(amqp_url, store="memory://") as bus:
        await bus.transport.apply(topology([auditing(Ledger())]))
        async with Process.started("tests.faults.program", amqp_url, "slow", "0.5", log=log) as worker:
            await publish()
            await worker.says_lines(EVENTS, within=STARTING)  # all are begun, and have claims
            assert (tmp_path / "eventbus.db-wal").stat().st_size > SMALL
            with full_disk(worker):
                await publish()
                await eventually(lambda: "store.unavailable" in log.read_text(), within=STARTING)
                await worker.says_lines(
                    2 * EVENTS, within=STARTING
                )  # those in hand end, and cannot be marked
            await worker.says_lines(4 * EVENTS, within=STARTING)
            await eventually(lambda: "store.available" in log.read_text(), within=STARTING)

    assert set(Counter(worker.said).values()) == {1}


@contextmanager
def read_only(bus: Bus) -> Iterator[None]:
    """As after its file system was mounted anew."""
    store = bus.kept.store
    assert isinstance(store, SqliteStore)
    parts = store._parts
    own = parts.access._own
    assert own is not None
    writers = [own._connection, *filter(None, [parts.transactions._connection])]
    for writer in writers:
        sqlite3.Cursor(writer).execute("PRAGMA query_only = ON")
    try:
        yield
    finally:
        for writer in writers:
            with suppress(sqlite3.ProgrammingError):  # closed: a transaction has failed on it
                sqlite3.Cursor(writer).execute("PRAGMA query_only = OFF")


def working(how: str, begun: list[int], go_on: asyncio.Event, effects: Path) -> Subscription[Any, Any]:
    @subscribe(Asked, name="work", concurrency=1)
    async def leased(event: Asked) -> None:
        begun.append(event.number)
        await go_on.wait()
        with effects.open("a") as file:
            file.write(f"{event.number}\n")

    @subscribe(Asked, name="work", concurrency=1)
    async def transactional(event: Asked, transaction: Transaction) -> None:
        begun.append(event.number)
        await go_on.wait()
        await transaction.execute("INSERT INTO effect VALUES (?)", event.number)

    return leased if how == "leased" else transactional


@pytest.mark.parametrize("how", ["leased", "transactional"])
async def test_while_the_store_may_not_be_written_handlers_wait_and_then_each_effect_is_there_once(
    tmp_path: Path, how: str
):
    path, effects = tmp_path / "store.db", tmp_path / "effects"
    begun: list[int] = []
    go_on = asyncio.Event()
    settings = Settings(url="sqlite://:memory:", store=f"sqlite:///{path}")

    def done() -> list[int]:
        if how == "leased":
            return [int(line) for line in effects.read_text().split()]
        with closing(sqlite3.connect(path)) as database:
            return [number for (number,) in database.execute("SELECT number FROM effect ORDER BY number")]

    effects.touch()
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE effect (number INTEGER)")
    service = Service("shop", [working(how, begun, go_on, effects)])
    with capture_logs() as logs:
        async with Bus(source="test", settings=settings) as bus, bus.running(service):
            await bus.publish(Asked(number=1))
            await eventually(lambda: begun == [1])
            with read_only(bus):
                await bus.publish(Asked(number=2))
                go_on.set()
                await eventually(lambda: [log for log in logs if log["event"] == "store.unavailable"])
                assert 2 not in begun
            await eventually(lambda: done() == [1, 2], within=STARTING)
            await eventually(lambda: [log for log in logs if log["event"] == "store.available"])

    (told,) = [log["error"] for log in logs if log["event"] == "store.unavailable"]
    assert f"cannot write {path}" in told
    assert not [log for log in logs if log["event"] in ("event.retried", "event.dead_lettered")]
