"""The `Archive` on SQLite."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from datetime import datetime

from eventbus.archive import ArchivedEntry, ArchiveEnd, ArchiveMoved, Copied
from eventbus.archives.sqlite.appending import Appending, end
from eventbus.archives.sqlite.reading import Reading
from eventbus.archives.sqlite.statements import schema
from eventbus.databases.sqlite.access import Access
from eventbus.databases.sqlite.address import Address
from eventbus.databases.sqlite.database import explained, prepare
from eventbus.errors import ConfigurationError


class SqliteArchive:
    def __init__(self, url: str, timeout: float) -> None:
        """Raises `ConfigurationError` for a URL that names no file."""
        self._address = Address.of(url, "archive")
        if self._address.file is None:
            raise ConfigurationError(
                f"{url} is no place for an archive: what it keeps would end with this process. Name a file: "
                "sqlite:///archive.db."
            )
        self._timeout = timeout
        self._opening = asyncio.Lock()
        self._access: Access | None = None

    @property
    def url(self) -> str:
        return self._address.url

    async def open(self) -> None:
        async with self._opening:
            if self._access is not None:
                return
            await asyncio.to_thread(prepare, self._address, schema(), self._timeout)
            try:
                self._access = Access(self._address, self._timeout, None)
            except sqlite3.Error as error:
                raise explained(error, self._address) from error

    async def close(self) -> None:
        async with self._opening:
            access, self._access = self._access, None
            if access is not None:
                await access.close()

    async def end(self) -> ArchiveEnd:
        return await self._opened.read(end)

    async def append(self, entries: Sequence[Copied], *, expected: int | None, next_offset: int) -> int:
        appending = Appending(entries, next_offset)

        def append(connection: sqlite3.Connection) -> int:
            if (actual := end(connection).next_offset) != expected:
                raise ArchiveMoved(self.url, expected, actual)
            return appending(connection)

        return await self._opened.write(append, durable=True)

    async def read(
        self, after: int, *, limit: int, since: datetime | None = None, until: datetime | None = None
    ) -> Sequence[ArchivedEntry]:
        return await self._opened.read(Reading(after, limit, since, until))

    @property
    def _opened(self) -> Access:
        if self._access is None:
            raise self._address.unavailable("it is not open")
        return self._access
