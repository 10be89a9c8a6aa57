"""A connection of the user's own, opened by the driver and not by eventbus, in one set of words."""

from __future__ import annotations

import sqlite3
from contextlib import asynccontextmanager, closing
from typing import TYPE_CHECKING, Any, Protocol

import asyncpg

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from tests.conformance.store.kinds import Place


class Foreign(Protocol):
    @property
    def connection(self) -> Any:
        """The driver's own."""
        ...

    async def execute(self, statement: str) -> list[tuple[Any, ...]]:
        """BEGIN, COMMIT and ROLLBACK too."""
        ...


class SqliteForeign:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection

    async def execute(self, statement: str) -> list[tuple[Any, ...]]:
        return self.connection.execute(statement).fetchall()


class PostgresForeign:
    def __init__(self, connection: asyncpg.Connection) -> None:
        self.connection = connection

    async def execute(self, statement: str) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in await self.connection.fetch(statement)]


@asynccontextmanager
async def foreign_to(place: Place) -> AsyncGenerator[Foreign]:
    match place.kind:
        case "sqlite" | "embedded":
            with closing(sqlite3.connect(place.path, isolation_level=None)) as connection:
                yield SqliteForeign(connection)
        case "postgres":
            connection = await asyncpg.connect(place.url, timeout=30)
            try:
                yield PostgresForeign(connection)
            finally:
                await connection.close(timeout=5)
        case kind:
            raise AssertionError(f"nobody but its store can open {kind}")
