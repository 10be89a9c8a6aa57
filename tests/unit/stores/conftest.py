"""A store in a SQLite file, for the tests of what is SQLite's own, and one on PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from eventbus.stores.postgres.store import PostgresStore
from eventbus.stores.sqlite.store import SqliteStore


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@pytest_asyncio.fixture
async def store(path: Path) -> AsyncGenerator[SqliteStore]:
    store = SqliteStore(f"sqlite:///{path}")
    await store.open()
    yield store
    await store.close()


@pytest_asyncio.fixture
async def postgres_store(postgres_url: str) -> AsyncGenerator[PostgresStore]:
    store = PostgresStore(postgres_url)
    await store.open()
    yield store
    await store.close()


@pytest_asyncio.fixture
async def other(postgres_url: str, postgres_store: PostgresStore) -> AsyncGenerator[PostgresStore]:
    other = PostgresStore(postgres_url)
    await other.open()
    yield other
    await other.close()


@pytest_asyncio.fixture
async def connection(postgres_url: str) -> AsyncGenerator[asyncpg.Connection]:
    connection = await asyncpg.connect(postgres_url, timeout=30)
    yield connection
    await connection.close(timeout=5)
