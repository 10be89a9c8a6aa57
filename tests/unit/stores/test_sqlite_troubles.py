"""What the store on SQLite does about a file that is locked or out of reach for a while."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from eventbus.databases.sqlite.address import Address
from eventbus.databases.sqlite.database import connect
from eventbus.store import StoreUnavailable
from eventbus.stores.options import StoreOptions
from eventbus.stores.sqlite import owner as owners
from eventbus.stores.sqlite.store import SqliteStore
from eventbus.transport import Message
from tests.support.eventually import eventually

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


@pytest.fixture
def failed_connects(monkeypatch: pytest.MonkeyPatch) -> list[sqlite3.Error]:
    """Of the thread that says that its process lives."""
    failed: list[sqlite3.Error] = []

    def noting(address: Address, factory: type[sqlite3.Connection], *, durable: bool) -> sqlite3.Connection:
        try:
            return connect(address, factory, durable=durable)
        except sqlite3.Error as error:
            failed.append(error)
            raise

    monkeypatch.setattr(owners, "connect", noting)
    return failed


async def test_a_process_that_could_not_reach_the_file_for_a_while_says_again_that_it_lives(
    store: SqliteStore, path: Path, failed_connects: list[sqlite3.Error]
) -> None:
    owner = owners.Owner(Address.of(store.url), StoreOptions(lease=0.15))
    aside = path.parent.with_name("away")
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        owner.enter(connection)

        def expiry() -> int:
            found = connection.execute("SELECT expires_at FROM eventbus_owner WHERE id = ?", [owner.id])
            expires_at: int = found.fetchone()[0]
            return expires_at

        entered = expiry()
        path.parent.rename(aside)
        owner.start()
        await eventually(lambda: failed_connects)
        aside.rename(path.parent)

        await eventually(lambda: expiry() > entered)
        owner.stop()


async def test_a_transaction_on_a_file_out_of_reach_is_one_of_a_store_that_is_away(
    store: SqliteStore, path: Path
) -> None:
    aside = path.parent.with_name("away")
    path.parent.rename(aside)
    with pytest.raises(StoreUnavailable):
        async with store.transaction():
            pass
    aside.rename(path.parent)

    async with store.transaction() as transaction:
        assert await transaction.fetch("SELECT 1 AS one") == [{"one": 1}]


async def test_a_plain_handler_that_cannot_write_has_not_failed(store: SqliteStore, path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match="locked"):
            async with store.transaction() as transaction:
                await asyncio.to_thread(transaction.connection.execute, "CREATE TABLE effect (number)")


async def test_what_a_handler_does_to_another_file_is_its_own_failure(
    store: SqliteStore, tmp_path: Path
) -> None:
    with (
        closing(sqlite3.connect(tmp_path / "own.db", isolation_level=None, timeout=0)) as own,
        closing(sqlite3.connect(tmp_path / "own.db", isolation_level=None)) as writer,
    ):
        writer.execute("BEGIN IMMEDIATE")

        async def handle() -> None:
            async with store.transaction() as transaction:
                transaction.connection.execute("CREATE TABLE effect (number)")
                own.execute("CREATE TABLE effect (number)")

        with pytest.raises(sqlite3.OperationalError, match="locked"):
            await handle()


async def test_a_process_whose_directory_changes_says_on_that_it_lives(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(path.parent)
    store = SqliteStore(f"sqlite:///{path.name}", StoreOptions(lease=0.15))
    await store.open()
    monkeypatch.chdir(path.parent.parent)

    def expires_at() -> int:
        with closing(sqlite3.connect(path)) as connection:
            found: int = connection.execute("SELECT expires_at FROM eventbus_owner").fetchone()[0]
            return found

    before = expires_at()
    await eventually(lambda: expires_at() > before)
    assert not (path.parent.parent / path.name).exists()
    await store.close()


async def test_a_sign_of_life_that_fails_for_another_reason_than_a_lock_is_told_once(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    beats: list[int] = []
    beat = owners.Owner.beat

    def counted(owner: owners.Owner, connection: sqlite3.Connection) -> None:
        beats.append(owner.id)
        beat(owner, connection)

    monkeypatch.setattr(owners.Owner, "beat", counted)
    store = SqliteStore(f"sqlite:///{path}", StoreOptions(lease=0.06))
    with capture_logs() as logs:
        await store.open()
        with closing(sqlite3.connect(path, isolation_level=None)) as vandal:
            vandal.execute("ALTER TABLE eventbus_owner RENAME TO taken_away")
            failed = len(beats)
            await eventually(lambda: len(beats) > failed + 3)
            vandal.execute("ALTER TABLE taken_away RENAME TO eventbus_owner")
        await store.close()

    (told,) = (log for log in logs if log["event"] == "store.heartbeat_failed")
    assert told["log_level"] == "error"
    assert "no such table" in told["problem"]
