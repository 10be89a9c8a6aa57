"""What event sourcing costs: one append against a bare insert of the same row, and loading a long aggregate.

PostgreSQL keeps on its disk what it has answered for, and both sides commit every event on its own.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from decimal import Decimal
from itertools import count
from pathlib import Path

import asyncpg
from rich.console import Console
from rich.table import Table

from bench.measure import Side, alternate, show
from eventbus import Bus, Event
from eventbus.settings import Settings
from eventbus.sourcing import Aggregate, EventStore, Repository, applies
from tests.support.lifeline import Lifeline
from tests.support.postgres_server import PostgresServer

APPENDS = 50
"""In a turn of one side: short turns, for a noisy machine changes in a second."""
TURNS = 10
"""Of each side in a round."""
EVENTS = 10_000
BARE = "bare insert"
_BARE_TABLE = "CREATE TABLE bare (LIKE eventbus.event INCLUDING ALL)"
_ROW = """
    INSERT INTO bare (stream, version, event_type, event_version, body, recorded_at)
    SELECT stream, $1, event_type, event_version, body, recorded_at FROM eventbus.event LIMIT 1
"""
_ROW = "SELECT stream, event_type, event_version, body, recorded_at FROM eventbus.event LIMIT 1"
_INSERT = """
    INSERT INTO bare (stream, version, event_type, event_version, body, recorded_at)
    VALUES ($1, $2, $3, $4, $5, $6)
"""


class Deposited(Event, type="bench.deposited"):
    amount: Decimal


class Account(Aggregate, stream="account"):
    balance: Decimal = Decimal(0)

    @applies
    def on_deposited(self, event: Deposited) -> None:
        self.balance += event.amount


async def run(rounds: int, console: Console) -> None:
    lifeline = Lifeline()
    try:
        server = PostgresServer(lifeline.directory, fsync=True)
        server.start()
        await _appending(server.url, rounds, console)
    finally:
        lifeline.cut()
    with tempfile.TemporaryDirectory() as directory:
        await _loading(f"sqlite:///{Path(directory) / 'bench.db'}", rounds, console)


async def _appending(url: str, rounds: int, console: Console) -> None:
    async with AsyncExitStack() as stack:
        events = await stack.enter_async_context(_event_store("sqlite://:memory:", url))
        connection = await stack.enter_async_context(_connected(url))
        version = await events.append("account-0", Deposited(amount=Decimal(1)), 0)
        await connection.execute(_BARE_TABLE)
        row = await connection.fetchrow(_ROW)
        assert row is not None  # noqa: S101  it was appended above
        stream, *rest = row.values()
        numbers = count(1)

        async def insert() -> int:
            for _ in range(APPENDS):
                await connection.execute(_INSERT, stream, next(numbers), *rest)
            return APPENDS

        async def append() -> int:
            nonlocal version
            for _ in range(APPENDS):
                version = await events.append("account-0", Deposited(amount=Decimal(1)), version)
            return APPENDS

        rates = await alternate({BARE: Side(insert), "EventStore.append": Side(append)}, rounds * TURNS)
        show("One event in a transaction of its own, PostgreSQL", rates, BARE, console)


async def _loading(url: str, rounds: int, console: Console) -> None:
    async with _event_store(url, None) as events:
        for number in range(EVENTS // 100):
            batch = [Deposited(amount=Decimal(1)) for _ in range(100)]
            await events.append("account-1", batch, number * 100)
        table = Table(
            "load an aggregate",
            "ms, median",
            "least",
            "most",
            "CPU ms, median",
            title=f"Loading {EVENTS:,} events, embedded store",
            title_justify="left",
        )
        whole, snapshots = Repository(events, Account), Repository(events, Account, snapshot_every=100)
        await snapshots.save(await _one_more(snapshots))
        for name, accounts in {"from its first event": whole, "with snapshots": snapshots}.items():
            loads = [await _loaded(accounts) for _ in range(rounds + 1)][1:]
            walls, cpus = [wall for wall, _ in loads], [cpu for _, cpu in loads]
            figures = (statistics.median(walls), min(walls), max(walls), statistics.median(cpus))
            table.add_row(name, *(f"{seconds * 1000:.1f}" for seconds in figures))
        console.print(table)


async def _one_more(accounts: Repository[Account]) -> Account:
    """With what is pending its version passes a multiple of what snapshots are apart."""
    account = await accounts.load("1")
    for _ in range(100):
        account.record(Deposited(amount=Decimal(1)))
    return account


async def _loaded(accounts: Repository[Account]) -> tuple[float, float]:
    """Seconds, and those of this process's CPU time."""
    began, cpu_began = time.perf_counter(), time.process_time()
    account = await accounts.load("1")
    took = time.perf_counter() - began, time.process_time() - cpu_began
    assert account.balance == account.version  # noqa: S101  it was read whole
    return took


@asynccontextmanager
async def _event_store(url: str, store: str | None) -> AsyncGenerator[EventStore]:
    """Without a relay, which would take its part of the time of one side only."""
    async with Bus(url, source="bench", store=store, settings=Settings(relay="off")) as bus:
        yield EventStore(bus, [Deposited])


@asynccontextmanager
async def _connected(url: str) -> AsyncGenerator[asyncpg.Connection[asyncpg.Record]]:
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close(timeout=5)
