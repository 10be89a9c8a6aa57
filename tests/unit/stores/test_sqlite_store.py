"""What only the store on SQLite has; what every store does is in `tests/conformance/store`."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.orm import Session
from structlog.testing import capture_logs

from eventbus.errors import ConfigurationError
from eventbus.event_store import Appended, Appending, Conflict
from eventbus.store import Claim, InboxKey, WrongTransaction
from eventbus.stores.opening import store_for
from eventbus.stores.sqlite.statements import schema
from eventbus.stores.sqlite.store import SqliteStore
from eventbus.transport import Message

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[3]
KEY = InboxKey("payment.charge", "evt_1")


def a_message(event_id: str = "evt_1") -> Message:
    return Message(b"{}", "order.created", event_id=event_id)


@pytest.fixture
def engine(path: Path) -> Iterator[Engine]:
    engine = create_engine(f"sqlite:///{path}")
    yield engine
    engine.dispose()


async def waiting(store: SqliteStore) -> list[str | None]:
    async with store.outbox.take(100) as taken:
        return [entry.message.event_id for entry in taken.entries]


async def test_a_damaged_event_is_reported_and_moved_aside_and_the_others_go_on(
    store: SqliteStore, path: Path
) -> None:
    await store.outbox.put([a_message("evt_1"), a_message("evt_2"), a_message("evt_3")], [None] * 3)
    with closing(sqlite3.connect(path, isolation_level=None)) as vandal:
        vandal.execute("UPDATE eventbus_outbox SET body = X'00' WHERE event_id = 'evt_2'")

    with capture_logs() as logs:
        reporting = SqliteStore(store.url)
        await reporting.open()
        assert await waiting(reporting) == ["evt_1", "evt_3"]
        await reporting.close()

    assert [(log["event"], log["log_level"], log["id"]) for log in logs] == [("outbox.damaged", "error", 2)]
    assert (await store.outbox.backlog()).events == 2


async def test_a_sqlalchemy_session_is_joined_and_commits(store: SqliteStore, engine: Engine) -> None:
    with Session(engine) as session, session.begin():
        session.execute(text("CREATE TABLE booking (name TEXT)"))
        joined = store.join(session)
        await joined.put([a_message("evt_1")], ["order-1"])
        joined.put_now([a_message("evt_2"), a_message("evt_3")], [None, None])
        assert await joined.complete([KEY]) == frozenset()

    assert await waiting(store) == ["evt_1", "evt_2", "evt_3"]


async def test_a_sqlalchemy_connection_that_rolls_back_leaves_nothing(
    store: SqliteStore, engine: Engine
) -> None:
    with engine.connect() as connection:
        connection.begin()
        store.join(connection).put_now([a_message()], [None])
        connection.rollback()

    assert await waiting(store) == []


def appending(expected: int) -> Appending:
    return Appending("account-1", expected, [a_message()], ["account-1"], ["1.0"])


async def test_a_stream_grows_and_is_read_in_a_sqlalchemy_session(store: SqliteStore, engine: Engine) -> None:
    with Session(engine) as session, session.begin():
        joined = store.streams.join(session)
        assert await joined.append(appending(0)) == Appended(1)
        assert await joined.append(appending(0)) == Conflict(1)
        assert [each.version for each in await joined.read("account-1", after=0, limit=9)] == [1]
        assert await joined.advance("balances", expected=0, to=1)
        assert not await joined.advance("balances", expected=0, to=1)

    assert await store.streams.version("account-1") == 1
    assert await store.streams.position("balances") == 1


async def test_a_sqlalchemy_session_without_a_transaction_is_refused(
    store: SqliteStore, engine: Engine
) -> None:
    with Session(engine) as session, pytest.raises(WrongTransaction, match="in no transaction"):
        store.join(session)


async def test_a_session_of_another_database_is_refused(store: SqliteStore, tmp_path: Path) -> None:
    other = create_engine(f"sqlite:///{tmp_path / 'other.db'}")
    with (
        Session(other) as session,
        session.begin(),
        pytest.raises(WrongTransaction, match=r"another database.*store\.db"),
    ):
        store.join(session)
    other.dispose()


async def test_a_connection_of_another_database_is_refused(store: SqliteStore, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "other.db", isolation_level=None)) as other:
        other.execute("BEGIN")
        with pytest.raises(WrongTransaction, match=r"another database.*store\.db"):
            store.join(other)


@pytest.mark.parametrize("verb", ["commit", "rollback", "close", "__enter__"])
async def test_a_handler_cannot_end_the_transaction_of_the_bus(store: SqliteStore, verb: str) -> None:
    async with store.transaction() as transaction:
        with pytest.raises(WrongTransaction, match="belongs to the bus"):
            getattr(transaction.connection, verb)()


async def test_the_drivers_own_connection_writes_in_the_transaction(store: SqliteStore) -> None:
    async def fail() -> None:
        async with store.transaction() as transaction:
            transaction.connection.executescript("CREATE TABLE a (x); CREATE TABLE b (x);")
            transaction.connection.cursor().execute("INSERT INTO a VALUES (1)")
            raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011  our own
        await fail()

    async with store.transaction() as transaction:
        assert await transaction.fetch("SELECT 1 FROM sqlite_master WHERE name IN ('a', 'b')") == []


async def test_the_lock_is_taken_with_the_first_statement(store: SqliteStore, path: Path) -> None:
    async with store.transaction() as transaction:
        await store.inbox.exchange(claim=[KEY])
        await transaction.execute("CREATE TABLE a (x)")
        with (
            closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as other,
            pytest.raises(sqlite3.OperationalError, match="locked"),
        ):
            other.execute("BEGIN IMMEDIATE")


async def test_a_store_of_the_first_schema_is_migrated_and_keeps_what_it_has(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as first:
        for statement in schema().steps[0]:
            first.execute(statement)
        first.execute("CREATE TABLE eventbus_store (one INTEGER PRIMARY KEY, version INTEGER NOT NULL)")
        first.execute("INSERT INTO eventbus_store VALUES (1, 1)")
        first.execute("INSERT INTO eventbus_inbox VALUES ('payment.charge', 'evt_1', '', NULL, 1)")

    store = SqliteStore(f"sqlite:///{path}")
    await store.open()

    assert (await store.inbox.exchange(claim=[KEY])).claims == [Claim.HANDLED]
    assert (await store.logbook.take("replay", "one", "{}"))[0]
    assert await store.streams.version("account-1") == 0
    await store.close()


async def test_a_store_of_a_newer_schema_is_refused(store: SqliteStore, path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as newer:
        newer.execute("UPDATE eventbus_store SET version = 99")

    with pytest.raises(ConfigurationError, match=r"newer eventbus.*version 99"):
        await SqliteStore(store.url).open()


@pytest.fixture
def no_database(path: Path) -> Path:
    path.write_bytes(b"no database at all" * 100)
    return path


async def test_what_is_no_database_is_refused(no_database: Path) -> None:
    with pytest.raises(ConfigurationError, match="no SQLite database"):
        await SqliteStore(f"sqlite:///{no_database}").open()


@pytest.mark.parametrize(("name", "problem"), [("", "is a directory"), ("/no/store.db", "does not exist")])
async def test_a_place_that_cannot_hold_a_file_is_refused(tmp_path: Path, name: str, problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        await SqliteStore(f"sqlite:///{tmp_path}{name}").open()


@pytest.mark.parametrize("url", ["mysql://localhost/shop", "events.db", "sqlite:///", "sqlite:///a?b", ""])
def test_a_url_that_names_no_store_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"sqlite:///eventbus\.db"):
        store_for(url)


@pytest.mark.parametrize("password", ["secret[", "secret]", "secret\uff1awide", "secret\uff0fwide"])
@pytest.mark.parametrize(
    ("scheme", "problem"), [("postgresql", "the store's URL cannot be read"), ("mysql", "is no store")]
)
def test_a_url_that_cannot_be_read_is_refused_without_its_password(
    scheme: str, problem: str, password: str
) -> None:
    with pytest.raises(ConfigurationError, match=problem) as refused:
        store_for(f"{scheme}://user:{password}@host/database")
    assert "secret" not in str(refused.value)


OPEN_IT = """
import asyncio, os, sys
from eventbus.errors import ConfigurationError
from eventbus.stores.opening import store_for
from eventbus.stores.sqlite.statements import schema

schema()  # nobody may not be allowed to read Python's own files, which it imports for this
store = store_for("sqlite:///" + sys.argv[1])
if os.geteuid() == 0:  # root may write everywhere: become nobody
    os.setgid(65534)
    os.setuid(65534)
try:
    asyncio.run(store.open())
except ConfigurationError as error:
    print(error)
"""


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """One that every user can reach."""
    directory = Path(tempfile.mkdtemp(prefix="eventbus-test-"))
    directory.chmod(0o755)
    yield directory
    directory.chmod(0o755)
    shutil.rmtree(directory)


def forbid_writing(directory: Path) -> None:
    for file in directory.iterdir():
        file.chmod(0o444)
    directory.chmod(0o555)


@pytest.mark.parametrize("exists", [True, False])
async def test_opening_a_store_that_may_not_be_written_says_what_has_to_be_writable(
    open_directory: Path, exists: bool
) -> None:
    path = open_directory / "store.db"
    if exists:
        store = SqliteStore(f"sqlite:///{path}")
        await store.open()
        await store.close()
    forbid_writing(open_directory)

    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", OPEN_IT, str(path)), cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    said, _ = await process.communicate()

    assert f"cannot write {path}" in said.decode()
    assert "write to the file and to its directory" in said.decode()
