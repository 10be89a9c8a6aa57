"""The `Archive` on PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime

import asyncpg

from eventbus.archive import ArchivedEntry, ArchiveEnd, ArchiveMoved, Copied
from eventbus.archives.months import stretch
from eventbus.archives.postgres.appending import Appending, end
from eventbus.archives.postgres.statements import schema, statements
from eventbus.databases.postgres.address import Address
from eventbus.databases.postgres.database import Connection, prepared
from eventbus.databases.postgres.lane import Lane
from eventbus.record import unpack


class PostgresArchive:
    """Tables in the schema `eventbus_archive` of a database of the user's."""

    def __init__(self, url: str, timeout: float) -> None:
        """Raises `ConfigurationError` for a URL that cannot be read."""
        self._address = Address.of(url, "archive")
        self._timeout = timeout
        self._opening = asyncio.Lock()
        self._writing: Lane | None = None
        self._reading: Lane | None = None

    @property
    def url(self) -> str:
        return self._address.url

    async def open(self) -> None:
        async with self._opening:
            if self._writing is None:
                async with prepared(self._address, self._timeout) as connection:
                    await schema().migrate(connection, self._address)
                self._writing = Lane(self._address, self._timeout)
                self._reading = Lane(self._address, self._timeout, ready=_by_index)

    async def close(self) -> None:
        async with self._opening:
            lanes = (self._writing, self._reading)
            self._writing = self._reading = None
            for lane in lanes:
                if lane is not None:
                    await lane.close()

    async def end(self) -> ArchiveEnd:
        return await self._opened(self._reading).ask(end)

    async def append(self, entries: Sequence[Copied], *, expected: int | None, next_offset: int) -> int:
        appended = await self._opened(self._writing).ask(Appending(entries, expected, next_offset))
        if isinstance(appended, ArchiveEnd):
            raise ArchiveMoved(self.url, expected, appended.next_offset)
        return appended

    async def read(
        self, after: int, *, limit: int, since: datetime | None = None, until: datetime | None = None
    ) -> Sequence[ArchivedEntry]:
        async def read(connection: Connection) -> list[asyncpg.Record]:
            if since is None and until is None:
                return await connection.fetch(statements()["read"], after, limit)
            return await connection.fetch(statements()["read_between"], after, limit, *stretch(since, until))

        rows = await self._opened(self._reading).ask(read)
        return [
            ArchivedEntry(number, unpack(properties, body), occurred_at)
            for number, occurred_at, properties, body in rows
        ]

    def _opened(self, lane: Lane | None) -> Lane:
        if lane is None:
            raise self._address.unavailable("it is not open")
        return lane


async def _by_index(connection: Connection) -> None:
    await connection.execute(statements()["by_index"])
