"""What the store on SQLite does about a file that is locked or out of reach for a while."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from eventbus.stores.options import StoreOptions
from eventbus.stores.sqlite.store import SqliteStore
from eventbus.transport import Message

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path


def a_message(event_id: str) -> Message:
    return Message(b"{}", "order.created", event_id=event_id)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    directory = tmp_path / "disk"
    directory.mkdir()
    return directory / "store.db"


@pytest_asyncio.fixture
async def store(path: Path) -> AsyncGenerator[SqliteStore]:
    store = SqliteStore(f"sqlite:///{path}", StoreOptions(timeout=0.2))
    await store.open()
    yield store
    await store.close()


async def send(store: SqliteStore) -> list[str | None]:
    async with store.outbox.take(1) as taken:
        await taken.sent(taken.entries)
        return [entry.message.event_id for entry in taken.entries]


async def test_a_relay_that_could_not_stand_down_leads_on_and_shuts_out_others_meanwhile(
    store: SqliteStore, path: Path
) -> None:
    await store.outbox.put([a_message("evt_1"), a_message("evt_2")], [None, None])
    other = SqliteStore(store.url)
    await other.open()
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        async with store.outbox.take(1):
            writer.execute("BEGIN IMMEDIATE")
        writer.execute("ROLLBACK")

    assert await send(other) == []
    assert await send(store) == ["evt_1"]
    assert await send(other) == ["evt_2"]
    await other.close()
