"""Of which bus an event is, in an outbox of an older version; and that nobody pays for what is not his.

The rest of it is in `tests/conformance/store/test_of_which_bus.py`.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from eventbus.clock import SystemClock
from eventbus.stores.entries import rows
from eventbus.stores.looking import backlogs_at
from eventbus.stores.options import StoreOptions
from eventbus.stores.postgres import statements as postgres
from eventbus.stores.postgres.store import PostgresStore
from eventbus.stores.sqlite import statements as sqlite
from eventbus.stores.sqlite.store import SqliteStore
from eventbus.transport import Message

if TYPE_CHECKING:
    from pathlib import Path

    import asyncpg


def a_message(event_id: str = "evt_1") -> Message:
    return Message(b"{}", "order.created", event_id=event_id)


async def waiting(store: SqliteStore | PostgresStore) -> list[str | None]:
    async with store.outbox.take(100) as taken:
        return [entry.message.event_id for entry in taken.entries]


async def test_an_outbox_of_an_older_schema_on_sqlite_is_the_first_bus_s_to_come(
    path: Path,
) -> None:
    url = f"sqlite:///{path}"
    with closing(sqlite3.connect(path, isolation_level=None)) as older:
        for step in sqlite.schema().steps[: sqlite.KNOWS_BUSES - 1]:
            for statement in step:
                older.execute(statement)
        older.execute("CREATE TABLE eventbus_store (one INTEGER PRIMARY KEY, version INTEGER NOT NULL)")
        older.execute("INSERT INTO eventbus_store VALUES (1, ?)", (sqlite.KNOWS_BUSES - 1,))
        put = sqlite.statements()["put"].replace(", bus)", ")").replace(", :bus)", ")")
        older.executemany(put, rows([a_message("evt_1")], [None], 1, ""))

        before = await backlogs_at(url, "shop", SystemClock())
        store = SqliteStore(url, StoreOptions(bus="shop"))
        await store.open()
        older.executemany(put, rows([a_message("evt_2")], [None], 1, ""))  # it runs on

    assert before.own is not None
    assert before.own.events == 1
    assert await waiting(store) == ["evt_1", "evt_2"]
    await store.close()


@pytest.mark.parametrize("name", ["waits", "adopt", "take"])
async def test_on_sqlite_a_relay_reads_nothing_of_what_waits_for_another_bus(
    store: SqliteStore, path: Path, name: str
) -> None:
    with closing(sqlite3.connect(path)) as connection:
        plan = connection.execute(
            f"EXPLAIN QUERY PLAN {sqlite.statements()[name]}", {"bus": "shop", "limit": 1}
        )
        steps = [row[3] for row in plan if "outbox" in row[3] or "TEMP" in row[3]]

    assert len(steps) == 1
    assert "INDEX eventbus_outbox_waiting (bus=?)" in steps[0]


async def test_an_outbox_of_an_older_schema_on_postgresql_is_the_first_bus_s_to_come(
    connection: asyncpg.Connection, postgres_url: str
) -> None:
    await connection.execute('CREATE SCHEMA "eventbus"')
    for step in postgres.migrations()[: postgres.KNOWS_BUSES - 1]:
        await connection.execute(postgres.Statements("eventbus").said(step))
    await connection.execute("INSERT INTO eventbus.store (version) VALUES ($1)", postgres.KNOWS_BUSES - 1)
    (row,) = rows([a_message()], [None], 1, "")
    put = [[row[name]] for name in ("event_id", "key", "queue", "properties", "body", "checksum", "due_at")]
    await connection.execute("SELECT eventbus.put($1, $2, $3, $4, $5, $6, $7, 1)", *put)

    before = await backlogs_at(postgres_url, "shop", SystemClock())
    store = PostgresStore(postgres_url, StoreOptions(bus="shop"))
    await store.open()
    await connection.execute("SELECT eventbus.put($1, $2, $3, $4, $5, $6, $7, 1)", *put)  # it runs on

    assert before.own is not None
    assert before.own.events == 1
    assert await waiting(store) == ["evt_1", "evt_1"]
    assert await connection.fetch("SELECT * FROM eventbus.take(10)") == []
    await store.close()


async def test_on_postgresql_a_relay_reads_nothing_of_what_waits_for_another_bus(
    postgres_store: PostgresStore, connection: asyncpg.Connection, postgres_url: str
) -> None:
    bank = PostgresStore(postgres_url, StoreOptions(bus="bank"))
    await bank.open()
    await bank.outbox.put([a_message(f"evt_{number}") for number in range(20_000)], [None] * 20_000)
    await bank.close()
    await connection.execute("VACUUM ANALYZE eventbus.outbox")

    async with connection.transaction():
        assert await connection.fetch("SELECT * FROM eventbus.take(500, 'shop')") == []
        read = await connection.fetchval(
            "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables "
            "WHERE schemaname = 'eventbus' AND relname = 'outbox'"
        )

    assert read == 0
