from __future__ import annotations

import asyncio
import shutil
import sqlite3
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from eventbus.embedded import EmbeddedOptions, EmbeddedTransport, engine
from eventbus.embedded.database import open_writer
from eventbus.errors import BrokerUnreachable, ConfigurationError
from tests.support.eventually import eventually
from tests.unit.embedded.conftest import OpenTransport
from tests.unit.embedded.words import CHARGE, ORDERS, handling, order, send

ROOT = Path(__file__).parents[3]


async def refusal(path: Path) -> str:
    with pytest.raises(ConfigurationError) as refused:
        await EmbeddedTransport(str(path)).open()
    return str(refused.value)


async def test_a_missing_directory_is_named(tmp_path: Path):
    assert f"the directory {tmp_path / 'no'} does not exist" in await refusal(tmp_path / "no" / "events.db")


async def test_a_directory_is_no_file(tmp_path: Path):
    assert "is a directory" in await refusal(tmp_path)


def test_a_file_of_another_kind_is_left_alone(path: Path):
    text = b"Dear diary, today I learned about write-ahead logs.\n" * 100
    path.write_bytes(text)

    assert "is no SQLite database" in asyncio.run(refusal(path))
    assert path.read_bytes() == text


async def test_a_file_of_a_newer_eventbus_is_left_alone(path: Path, open_transport: OpenTransport):
    transport = await open_transport(path)
    await transport.close()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE eventbus_transport SET schema_version = 1000")

    assert "written by a newer eventbus: its schema has version 1000" in await refusal(path)


async def test_a_file_with_tables_of_its_users_own_is_shared(path: Path, open_transport: OpenTransport):
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript("PRAGMA user_version = 7; CREATE TABLE log (line); CREATE TABLE queue (x);")

    transport = await open_transport(path)
    await transport.apply(ORDERS)
    async with handling(transport, CHARGE) as handled:
        await send(transport, order(b"paid"))
        await transport.idle()

    assert handled == [b"paid"]
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (7,)


async def test_an_empty_path_is_refused():
    with pytest.raises(ConfigurationError, match="the path is empty"):
        await EmbeddedTransport("").open()


async def test_an_sqlite_that_is_too_old_is_named(path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 34, 1))

    assert "needs 3.35 or newer" in await refusal(path)


async def test_a_relative_path_is_one_of_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, open_transport: OpenTransport
):
    monkeypatch.chdir(tmp_path)

    transport = await open_transport("events.db")

    assert transport.url == "sqlite:///events.db"
    assert (tmp_path / "events.db").exists()


async def test_a_file_that_stays_locked_is_an_unreachable_broker(path: Path):
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN EXCLUSIVE")
    transport = EmbeddedTransport(str(path), EmbeddedOptions(busy_timeout=0.2))

    with pytest.raises(BrokerUnreachable, match="locked"):
        await transport.open()

    connection.close()
    await transport.open()  # and is one again as soon as it is free
    await transport.close()


OPEN_IT = """
import asyncio, os, sys
from eventbus.embedded import EmbeddedTransport
from eventbus.errors import ConfigurationError

transport = EmbeddedTransport(sys.argv[1])
if os.geteuid() == 0:  # root may write everywhere: become nobody
    os.setgid(65534)
    os.setuid(65534)
try:
    asyncio.run(transport.open())
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
async def test_a_place_that_may_not_be_written_is_named(
    open_directory: Path, open_transport: OpenTransport, exists: bool
):
    path = open_directory / "events.db"
    if exists:
        await (await open_transport(path)).close()
    forbid_writing(open_directory)

    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", OPEN_IT, str(path)), cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    said, _ = await process.communicate()

    assert f"cannot write {path}" in said.decode()


async def test_an_opening_that_is_cancelled_leaves_no_connection_behind(
    path: Path, monkeypatch: pytest.MonkeyPatch
):
    begun, may_end = threading.Event(), threading.Event()
    opened: list[sqlite3.Connection] = []

    def slowly(*how: Any) -> sqlite3.Connection:
        begun.set()
        may_end.wait(30)
        opened.append(open_writer(*how))
        return opened[0]

    def is_closed() -> bool:
        try:
            opened[0].execute("SELECT 1")
        except sqlite3.ProgrammingError:
            return True
        return False

    monkeypatch.setattr(engine, "open_writer", slowly)
    opening = asyncio.create_task(EmbeddedTransport(str(path)).open())
    await eventually(begun.is_set)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    assert opened == []

    may_end.set()
    await eventually(lambda: opened and is_closed())
