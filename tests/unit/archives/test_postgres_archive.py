"""What only the archive on PostgreSQL has; what every archive does is in `tests/conformance/archive`."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import asyncpg
import pytest
import pytest_asyncio

from eventbus.archives.postgres.archive import PostgresArchive
from eventbus.archives.postgres.statements import statements
from eventbus.errors import ConfigurationError
from eventbus.store import StoreUnavailable
from tests.conformance.archive import drive

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator


@pytest_asyncio.fixture
async def archive(postgres_url: str) -> AsyncGenerator[PostgresArchive]:
    archive = PostgresArchive(postgres_url, timeout=5.0)
    await archive.open()
    yield archive
    await archive.close()


@pytest_asyncio.fixture
async def connection(postgres_url: str) -> AsyncGenerator[asyncpg.Connection]:
    connection = await asyncpg.connect(postgres_url, timeout=30)
    yield connection
    await connection.close(timeout=5)


async def test_pages_of_all_months_are_found_by_number_without_sorting(
    archive: PostgresArchive, connection: asyncpg.Connection
) -> None:
    times = (drive.NOVEMBER + timedelta(minutes=20) * number for number in range(3000))
    await drive.append(archive, *(drive.an_entry(occurred_at=moment) for moment in times))
    await connection.execute(statements()["by_index"])

    async def plan(name: str, *asked: object) -> str:
        rows = await connection.fetch(f"EXPLAIN {statements()[name]}", *asked)
        return "\n".join(row[0] for row in rows)

    read = await plan("read", 10, 100)
    assert "Merge Append" in read
    assert "Index Scan using event_2026_11_pkey" in read
    november = await plan("read_between", 10, 100, drive.NOVEMBER, drive.NOVEMBER + drive.DAY)
    assert "Index Cond: ((number > '10'::bigint) AND (occurred_at >=" in november
    assert "event_2026_12" not in november
    assert not {word for word in ("Seq Scan", "Sort  ") if word in read + november}


async def test_a_month_begins_while_somebody_reads_the_others(
    archive: PostgresArchive, connection: asyncpg.Connection
) -> None:
    await drive.append(archive, drive.an_entry(occurred_at=drive.NOVEMBER))

    async with connection.transaction():  # as a backup does
        await connection.fetch("SELECT * FROM eventbus_archive.event")
        await drive.append(archive, drive.an_entry(occurred_at=drive.DECEMBER))
        assert len(await drive.read_all(archive)) == 2


async def test_a_month_that_was_detached_is_attached_again_for_its_next_event(
    archive: PostgresArchive, connection: asyncpg.Connection
) -> None:
    early, late = drive.some_entries(2)
    await drive.append(archive, early)
    await connection.execute(
        "ALTER TABLE eventbus_archive.event DETACH PARTITION eventbus_archive.event_2026_11"
    )
    assert await drive.read_all(archive) == []

    await drive.append(archive, late)

    assert drive.ids(await drive.read_all(archive)) == drive.ids([early, late])


async def test_an_archive_of_a_newer_schema_is_refused(
    archive: PostgresArchive, connection: asyncpg.Connection, postgres_url: str
) -> None:
    await connection.execute("UPDATE eventbus_archive.archive SET version = 99")

    with pytest.raises(ConfigurationError, match=r"the archive at .* newer eventbus.*version 99"):
        await PostgresArchive(postgres_url, 5.0).open()


async def test_a_database_that_does_not_exist_is_refused(postgres_url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"the archive at .* cannot be used"):
        await PostgresArchive(f"{postgres_url}_nowhere", 5.0).open()


async def test_a_server_that_is_away_is_unavailable() -> None:
    with pytest.raises(StoreUnavailable, match=r"the archive at .* is not available.*Nothing is lost"):
        await PostgresArchive("postgresql://nobody@127.0.0.1:1/none", 5.0).open()
