"""The connection that a handler holds is of its own transaction, whoever else still has it afterwards."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from eventbus.store import WrongTransaction
from eventbus.stores.sqlite.lazy import LazyConnection
from eventbus.stores.sqlite.store import SqliteStore
from tests.support.eventually import eventually

if TYPE_CHECKING:
    pass

INSERT = "INSERT INTO a VALUES ('late')"


@pytest_asyncio.fixture(autouse=True)
async def table(store: SqliteStore) -> None:
    async with store.transaction() as transaction:
        await transaction.execute("CREATE TABLE a (x)")
        await transaction.execute("INSERT INTO a VALUES ('first')")


class Run:
    """A handler that has its connection and hangs, until its time is up."""

    def __init__(self, store: SqliteStore) -> None:
        self.connection: asyncio.Future[LazyConnection] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._hang(store))

    async def end(self) -> None:
        self._task.cancel()
        await asyncio.wait({self._task})

    async def _hang(self, store: SqliteStore) -> None:
        async with store.transaction() as transaction:
            self.connection.set_result(transaction.connection)
            await asyncio.Event().wait()


async def rows(store: SqliteStore) -> list[str]:
    async with store.transaction() as transaction:
        return [row["x"] for row in await transaction.fetch("SELECT x FROM a ORDER BY rowid")]


WAYS: dict[str, Callable[[sqlite3.Connection], object]] = {
    "execute": lambda connection: connection.execute(INSERT),
    "executemany": lambda connection: connection.executemany("INSERT INTO a VALUES (?)", [("late",)]),
    "executescript": lambda connection: connection.executescript(INSERT),
    "cursor": lambda connection: connection.cursor().execute(INSERT),
    "blobopen": lambda connection: connection.blobopen("a", "x", 1),
}


@pytest.mark.parametrize("way", WAYS)
async def test_a_thread_that_outlives_its_transaction_writes_in_no_other(
    store: SqliteStore, way: str
) -> None:
    run = Run(store)
    late = await run.connection
    await run.end()

    async with store.transaction() as transaction:
        await transaction.execute("INSERT INTO a VALUES ('next')")
        with pytest.raises(WrongTransaction, match="ended"):
            await asyncio.to_thread(WAYS[way], late)

    assert await rows(store) == ["first", "next"]


async def test_a_cursor_of_an_ended_transaction_writes_in_no_other(store: SqliteStore) -> None:
    run = Run(store)
    late = (await run.connection).cursor()
    await run.end()

    async with store.transaction() as transaction:
        transaction.connection.execute("INSERT INTO a VALUES ('next')")
        with pytest.raises(WrongTransaction, match="ended"):
            late.execute(INSERT)

    assert await rows(store) == ["first", "next"]


async def test_who_waits_for_the_lock_when_its_transaction_ends_waits_no_longer(
    store: SqliteStore, path: Path
) -> None:
    run = Run(store)
    connection = await run.connection
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        late = asyncio.create_task(asyncio.to_thread(connection.execute, INSERT))
        await asyncio.sleep(0.05)
        async with asyncio.timeout(2):
            await run.end()
            with pytest.raises(WrongTransaction, match="ended"):
                await late

    assert await rows(store) == ["first"]


async def test_of_many_rows_none_is_written_after_the_transaction_has_ended(store: SqliteStore) -> None:
    run = Run(store)
    connection = await run.connection
    wrote, has_ended = threading.Event(), threading.Event()

    def some() -> Iterator[tuple[str]]:
        yield ("late",)
        wrote.set()
        has_ended.wait(10)
        yield ("later",)

    def write() -> None:
        with suppress(WrongTransaction):
            connection.executemany("INSERT INTO a VALUES (?)", some())

    late = asyncio.create_task(asyncio.to_thread(write))
    await asyncio.to_thread(wrote.wait, 10)
    ending = asyncio.create_task(run.end())
    await eventually(lambda: not connection.is_lent)
    has_ended.set()
    await asyncio.gather(late, ending)

    assert await rows(store) == ["first"]


async def test_the_connection_of_a_transaction_that_failed_is_closed(store: SqliteStore) -> None:
    run = Run(store)
    connection = await run.connection
    await run.end()

    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        _ = connection.total_changes


async def test_under_a_cursor_of_another_class_it_stays_open_and_refuses(store: SqliteStore) -> None:
    run = Run(store)
    connection = await run.connection
    other = connection.cursor(sqlite3.Cursor)
    await run.end()

    assert other.execute("SELECT 1").fetchone() == (1,)
    with pytest.raises(WrongTransaction, match="ended"):
        connection.execute(INSERT)


async def test_rows_are_not_read_after_the_transaction_has_ended(store: SqliteStore) -> None:
    run = Run(store)
    cursor = (await run.connection).execute("SELECT x FROM a")
    await run.end()

    for read in (cursor.fetchone, cursor.fetchmany, cursor.fetchall, cursor.__next__):
        with pytest.raises(WrongTransaction, match="ended"):
            read()


READS: dict[str, Callable[[sqlite3.Connection], sqlite3.Cursor]] = {
    "execute": lambda connection: connection.execute("SELECT x FROM a"),
    "cursor": lambda connection: connection.cursor().execute("SELECT x FROM a"),
}


@pytest.mark.parametrize("way", READS)
async def test_the_connection_makes_rows_as_the_driver_does(store: SqliteStore, way: str) -> None:
    async with store.transaction() as transaction:
        transaction.connection.row_factory = sqlite3.Row
        assert READS[way](transaction.connection).fetchone()["x"] == "first"


async def test_what_a_transaction_fetches_are_dicts_whatever_rows_its_connection_makes(
    store: SqliteStore,
) -> None:
    async with store.transaction() as transaction:
        transaction.connection.row_factory = lambda _cursor, row: {"row": row}
        assert await transaction.fetch("SELECT x FROM a") == [{"x": "first"}]


async def test_what_was_set_on_the_connection_is_not_for_the_next_one(store: SqliteStore) -> None:
    async with store.transaction() as transaction:
        lent = transaction.connection
        lent.row_factory, lent.text_factory = sqlite3.Row, bytes
        assert lent.execute("SELECT x FROM a").fetchone()["x"] == b"first"

    async with store.transaction() as transaction:
        assert transaction.connection is lent
        assert lent.execute("SELECT x FROM a").fetchone() == ("first",)


@pytest.mark.parametrize("name", ["isolation_level", "autocommit"])
async def test_who_commits_cannot_be_set(store: SqliteStore, name: str) -> None:
    """The driver commits at once where it is told that it is to commit always."""
    async with store.transaction() as transaction:
        await transaction.execute(INSERT)
        with pytest.raises(WrongTransaction, match="belongs to the bus"):
            setattr(transaction.connection, name, None)
        assert transaction.connection.in_transaction
