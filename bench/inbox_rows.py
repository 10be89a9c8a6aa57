"""Whether an inbox with many rows makes a claim slower: the same claims in a small inbox and in a full one.

Claims and completions go in groups, as those of a busy worker do. Our own ids are in the order of time, and
new ones lie side by side in the index; random ones, which other programs may use, are spread over all of it.
"""

from __future__ import annotations

import sqlite3
import tempfile
import uuid
from collections.abc import Callable
from contextlib import AsyncExitStack, closing
from functools import partial
from pathlib import Path
from typing import Final

import asyncpg
from rich.console import Console

from bench.inbox import served
from bench.measure import Side, alternate, show
from eventbus.ids import new_event_id
from eventbus.store import InboxKey, Store
from eventbus.stores.opening import store_for
from tests.support.postgres_server import PostgresServer, create_database

FEW: Final = 10_000
CLAIMS: Final = 10_000
GROUP: Final = 100

_NOW: Final = 1_800_000_000_000_000
"""Microseconds; nobody purges here."""
_INTO_SQLITE: Final = """
    WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers LIMIT ?)
    INSERT INTO eventbus_inbox (subscription, event_id, replay, owner, claimed_at)
    SELECT 'bench.count', 'evt_' || lower(hex(randomblob(16))), '', NULL, ? + n FROM numbers ORDER BY 2
"""
_INTO_POSTGRES: Final = """
    INSERT INTO eventbus.inbox (subscription, event_id, replay, owner, claimed_at)
    SELECT 'bench.count', 'evt_' || md5(n::text), '', NULL, $2 + n
    FROM generate_series(1, $1::bigint) AS n ORDER BY 2
"""


async def run(rounds: int, rows: int, console: Console) -> None:
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(served(partial(PostgresServer, fsync=True)))
        for kind in ("SQLite", "PostgreSQL"):
            stores: dict[str, Store] = {}
            for count in (FEW, rows):
                filled = _sqlite(directory, count) if kind == "SQLite" else _postgres(server, count)
                stores[_named(count)] = store = await filled
                stack.push_async_callback(store.close)
            for ids, new_id in (("our ids", new_event_id), ("random ids", _random_id)):
                sides = {name: Side(partial(_claim, store, new_id)) for name, store in stores.items()}
                rates = await alternate(sides, rounds)
                show(f"Claim and complete, {kind}, {ids}", rates, _named(FEW), console)


def _named(count: int) -> str:
    return f"{count:,} rows"


def _random_id() -> str:
    return f"evt_{uuid.uuid4().hex}"


async def _claim(store: Store, new_id: Callable[[], str]) -> int:
    for _ in range(0, CLAIMS, GROUP):
        keys = [InboxKey("bench.count", new_id()) for _ in range(GROUP)]
        await store.inbox.exchange(claim=keys)
        await store.inbox.exchange(complete=keys)
    return CLAIMS


async def _sqlite(directory: Path, count: int) -> Store:
    path = directory / f"{count}.db"
    store = await _opened(f"sqlite:///{path}")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(_INTO_SQLITE, (count, _NOW))
    return store


async def _postgres(server: str, count: int) -> Store:
    url = create_database(server)
    store = await _opened(url)
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(_INTO_POSTGRES, count, _NOW, timeout=600)
        await connection.execute("VACUUM ANALYZE eventbus.inbox", timeout=600)
    finally:
        await connection.close()
    return store


async def _opened(url: str) -> Store:
    store = store_for(url)
    await store.open()
    return store
