"""What is found of a store by who only looks, and that looking leaves nothing behind."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest
from redis import Redis

from eventbus.errors import ConfigurationError
from eventbus.store import StoreReport, StoreUnavailable
from eventbus.stores import looking
from eventbus.stores.options import StoreOptions
from eventbus.stores.postgres.store import PostgresStore
from eventbus.stores.sqlite.store import SqliteStore
from tests.support.redis_server import RedisServer


async def found(url: str) -> StoreReport:
    return await looking.report_on(url, is_named=True)


def refusal(report: StoreReport) -> str:
    assert isinstance(report.problem, ConfigurationError)
    return str(report.problem)


async def test_a_store_in_memory_is_nothing_to_look_at():
    assert await found("memory://") == StoreReport("memory://")
    assert await found("sqlite://:memory:") == StoreReport("sqlite://:memory:")


async def test_a_url_that_names_no_store_is_told_and_nothing_of_it_is_shown():
    assert "is no store of this version" in refusal(await found("nothing://me:s3cret@db"))
    unreadable = await found("postgresql://me:s3/cret@db")
    assert unreadable.url is None
    assert "s3" not in refusal(unreadable)


# --- SQLite


async def test_a_file_that_is_not_there_is_missed_where_it_was_named_and_is_not_made(path: Path):
    assert await found(f"sqlite:///{path}") == StoreReport(f"sqlite:///{path}", is_missing=True)
    assert not (await looking.report_on(f"sqlite:///{path}", is_named=False)).is_missing
    with pytest.raises(sqlite3.OperationalError):
        sqlite3.connect(f"file:{path}?mode=ro", uri=True)


async def test_a_file_that_others_have_made_is_no_store_yet(path: Path):
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE ours (id INTEGER)")

    assert (await found(f"sqlite:///{path}")).is_missing


async def test_an_open_store_is_well(store: SqliteStore):
    assert await found(store.url) == StoreReport(store.url)


async def test_a_file_of_a_newer_schema_is_told(store: SqliteStore, path: Path):
    with closing(sqlite3.connect(path, isolation_level=None)) as newer:
        newer.execute("UPDATE eventbus_store SET version = 99")

    assert "newer eventbus" in refusal(await found(store.url))


@pytest.fixture
def no_database(path: Path) -> Path:
    path.write_bytes(b"no database at all" * 100)
    return path


async def test_a_file_that_no_store_can_be_in_is_told(no_database: Path):
    path = no_database
    assert "is no SQLite database" in refusal(await found(f"sqlite:///{path}"))
    assert "is a directory" in refusal(await found(f"sqlite:///{path.parent}"))
    assert "does not exist" in refusal(await found(f"sqlite:///{path.parent}/nowhere/store.db"))


async def test_a_file_that_others_keep_locked_is_away(path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(looking, "_OPTIONS", StoreOptions(timeout=0.1))
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("CREATE TABLE ours (id INTEGER)")
        other.execute("BEGIN EXCLUSIVE")

        report = await found(f"sqlite:///{path}")

    assert isinstance(report.problem, StoreUnavailable)
    assert report.reason == "database is locked"


# --- PostgreSQL


async def test_a_database_without_a_store_is_missed_and_stays_as_it_is(
    postgres_url: str, connection: asyncpg.Connection
):
    assert (await found(postgres_url)).is_missing
    assert await connection.fetchval("SELECT to_regnamespace('eventbus')") is None


async def test_an_open_store_on_postgresql_is_well_and_its_password_is_not_shown(
    postgres_store: PostgresStore, postgres_url: str
):
    assert await found(postgres_url) == StoreReport(postgres_store.url)


@pytest.mark.usefixtures("postgres_store")
async def test_a_database_of_a_newer_schema_is_told(connection: asyncpg.Connection, postgres_url: str):
    await connection.execute("UPDATE eventbus.store SET version = 99")

    assert "newer eventbus" in refusal(await found(postgres_url))


@pytest.mark.usefixtures("postgres_store")
async def test_a_read_only_database_is_told(connection: asyncpg.Connection, postgres_url: str):
    database = urlsplit(postgres_url).path[1:]
    await connection.execute(f"ALTER DATABASE {database} SET default_transaction_read_only = on")

    assert "is read-only" in refusal(await found(postgres_url))


async def test_a_port_that_is_no_number_is_told_without_the_password():
    report = await found("postgresql://me:s3cret@db:port/shop")

    assert report.url == "postgresql://me@db:port/shop"
    assert "s3cret" not in refusal(report)


@pytest.mark.parametrize("kind", ["postgresql", "redis"])
async def test_a_server_that_is_not_there_is_away(kind: str):
    report = await found(f"{kind}://me:s3cret@127.0.0.1:1/0")

    assert isinstance(report.problem, StoreUnavailable)
    assert report.url == f"{kind}://me@127.0.0.1:1/0"
    assert "s3cret" not in str(report.reason)


# --- Redis


async def test_a_redis_that_answers_is_well_and_gets_no_key(redis_url: str):
    assert (await found(redis_url)).problem is None
    with Redis.from_url(redis_url) as client:  # pyright: ignore[reportUnknownMemberType]  their keywords
        assert client.dbsize() == 0


async def test_a_redis_that_wants_another_password_is_told(redis_url: str):
    wrong = redis_url.replace(str(urlsplit(redis_url).password), "s3cret")

    told = refusal(await found(wrong))

    assert "refuses" in told
    assert "s3cret" not in told


async def test_a_redis_that_is_a_replica_is_told(redis: RedisServer):
    with Redis.from_url(redis.url) as client:  # pyright: ignore[reportUnknownMemberType]  their keywords
        client.execute_command("REPLICAOF", "127.0.0.1", "1")  # pyright: ignore[reportUnknownMemberType]

    report = await found(redis.url)

    assert isinstance(report.problem, StoreUnavailable)
    assert "name its primary" in str(report.reason)
