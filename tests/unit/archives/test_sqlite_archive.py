"""What only the archive on SQLite has; what every archive does is in `tests/conformance/archive`."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest_asyncio

from eventbus.archives.sqlite.archive import SqliteArchive
from eventbus.archives.sqlite.statements import of_month, statements
from eventbus.stores.sqlite.store import SqliteStore
from tests.conformance.archive import drive

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path


@pytest_asyncio.fixture
async def archive(tmp_path: Path) -> AsyncGenerator[SqliteArchive]:
    archive = SqliteArchive(f"sqlite:///{tmp_path / 'archive.db'}", timeout=5.0)
    await archive.open()
    yield archive
    await archive.close()


async def test_pages_are_found_by_number_and_passed_over_in_the_narrow_index(
    archive: SqliteArchive, tmp_path: Path
) -> None:
    times = (drive.NOVEMBER + timedelta(minutes=20) * number for number in range(3000))
    await drive.append(archive, *(drive.an_entry(occurred_at=moment) for moment in times))

    with closing(sqlite3.connect(tmp_path / "archive.db")) as connection:

        def plan(statement: str) -> str:
            asked = {"after": 10, "limit": 100, "since": 0, "until": 1}
            return "\n".join(row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}", asked))

        read = plan(of_month("read", "2026_11"))
        assert "SEARCH eventbus_archive_2026_11 USING INTEGER PRIMARY KEY (rowid>?)" in read
        between = plan(of_month("read_between", "2026_11"))
        assert "USING COVERING INDEX eventbus_archive_2026_11_times (number>?)" in between
        assert "SEARCH eventbus_archive_2026_11 USING INTEGER PRIMARY KEY (rowid=?)" in between
        assert not {word for word in ("SCAN", "TEMP B-TREE") if word in read + between}
        months = [name for name, _ in connection.execute(statements()["months"], {"after": 0})]
        assert months == ["2026_11", "2026_12"]


async def test_a_store_can_live_in_the_same_file(archive: SqliteArchive) -> None:
    store = SqliteStore(archive.url)
    await store.open()
    await drive.append(archive, drive.an_entry())

    assert (await store.logbook.take("replay", "one", ""))[0]
    assert len(await drive.read_all(archive)) == 1
    await store.close()
