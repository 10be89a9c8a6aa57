"""Every test of this folder runs on every kind of archive."""

from __future__ import annotations

import sqlite3
from contextlib import asynccontextmanager, closing
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from tests.conformance.archive.kinds import KINDS, Place

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from eventbus.archive import Archive


def address_of(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an archive that nobody has opened yet."""
    return (
        f"sqlite:///{tmp_path / 'archive.db'}"
        if kind == "sqlite"
        else request.getfixturevalue("postgres_url")
    )


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Where nothing is archived yet."""
    return Place(request.param, address_of(request.param, request, tmp_path))


@pytest_asyncio.fixture
async def archive(place: Place) -> AsyncGenerator[Archive]:
    """An open one."""
    async with place.opened() as archive:
        yield archive


@pytest_asyncio.fixture
async def other(place: Place, archive: Archive) -> AsyncGenerator[Archive]:
    """A second one at the same place, as another process has it."""
    async with place.opened() as other:
        yield other


@pytest.fixture(params=KINDS)
def hanging_place(
    request: pytest.FixtureRequest, tmp_path: Path
) -> tuple[Place, Callable[[], AbstractAsyncContextManager[None]]]:
    """A place, and what makes it take nothing from anybody for the length of a block."""
    if request.param == "postgres":
        server = request.getfixturevalue("postgres")

        @asynccontextmanager
        async def freeze() -> AsyncGenerator[None]:
            server.pause()
            try:
                yield
            finally:
                server.resume()

        return Place("postgres", server.url), freeze
    path = tmp_path / "archive.db"

    @asynccontextmanager
    async def lock() -> AsyncGenerator[None]:
        with closing(sqlite3.connect(path, isolation_level=None)) as locking:
            locking.execute("BEGIN IMMEDIATE")
            yield

    return Place("sqlite", f"sqlite:///{path}"), lock
