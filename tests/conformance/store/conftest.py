"""Every test of this folder runs on every kind of store, unless it names the kinds that it is for."""

from __future__ import annotations

import sqlite3
from contextlib import asynccontextmanager, closing
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from tests.conformance.store.foreign import Foreign, foreign_to
from tests.conformance.store.kinds import ALL, Place

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from eventbus.store import Outbox, Store
    from tests.support.postgres_server import PostgresServer
    from tests.support.redis_server import RedisServer


def address_of(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a store that nobody has opened yet."""
    match kind:
        case "memory":
            return "memory://"
        case "sqlite" | "embedded":
            return f"sqlite:///{tmp_path / 'store.db'}"
        case "sqlite-memory":
            return "sqlite://:memory:"
        case "postgres":
            return request.getfixturevalue("postgres_url")
        case "redis":
            return request.getfixturevalue("redis_url")
        case unknown:
            pytest.fail(f"no such kind of store: {unknown}")


@pytest.fixture(params=ALL)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Where nothing is stored yet; parametrise it with the marks of `kinds.py` to choose kinds."""
    return Place(request.param, address_of(request.param, request, tmp_path))


@pytest_asyncio.fixture
async def store(place: Place) -> AsyncGenerator[Store]:
    """An open one."""
    async with place.opened() as store:
        yield store


@pytest_asyncio.fixture
async def other(place: Place, store: Store) -> AsyncGenerator[Store]:
    """A second one at the same place, as another process has it."""
    async with place.opened() as other:
        yield other


@pytest.fixture
def outbox(store: Store) -> Outbox:
    assert store.outbox is not None
    return store.outbox


@pytest_asyncio.fixture
async def foreign(place: Place, store: Store) -> AsyncGenerator[Foreign]:
    """A connection of the user's own to the same database."""
    async with foreign_to(place) as foreign:
        yield foreign


@pytest.fixture(params=["sqlite", "embedded", "postgres", "redis"])
def hanging_place(
    request: pytest.FixtureRequest, tmp_path: Path
) -> tuple[Place, Callable[[], AbstractAsyncContextManager[None]]]:
    """A place, and what makes it answer nobody for the length of a block."""
    if request.param in ("postgres", "redis"):
        return _frozen(request.param, request.getfixturevalue(request.param))
    place = Place(request.param, address_of(request.param, request, tmp_path))

    @asynccontextmanager
    async def hang() -> AsyncGenerator[None]:
        with closing(sqlite3.connect(place.path, isolation_level=None)) as locking:
            locking.execute("BEGIN IMMEDIATE")
            yield

    return place, hang


def _frozen(
    kind: str, server: PostgresServer | RedisServer
) -> tuple[Place, Callable[[], AbstractAsyncContextManager[None]]]:
    """The whole server: connections stay open, and nobody answers."""

    @asynccontextmanager
    async def freeze() -> AsyncGenerator[None]:
        server.pause()
        try:
            yield
        finally:
            server.resume()

    return Place(kind, server.url), freeze
