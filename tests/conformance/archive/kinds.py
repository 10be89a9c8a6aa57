"""The kinds of archive that the suite runs on, each seen through one small value.

A new kind is a line in `KINDS`, its address in `conftest.address_of`, and how it is made to hang there.
"""

from __future__ import annotations

import sqlite3
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import asyncpg

from eventbus.archives.opening import archive_for
from tests.conformance.process import Process

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from eventbus.archive import Archive

KINDS: Final = ("sqlite", "postgres")


@dataclass(frozen=True)
class Place:
    """One archive under test: how to reach it, from here and from another process."""

    kind: str
    url: str

    @asynccontextmanager
    async def opened(self, timeout: float = 5.0) -> AsyncGenerator[Archive]:
        archive = archive_for(self.url, timeout=timeout)
        await archive.open()
        try:
            yield archive
        finally:
            await archive.close()

    def process(self, *command: str, log: Path) -> AbstractAsyncContextManager[Process]:
        """A process of its own that does one thing to this archive; see `program.py`."""
        return Process.started("tests.conformance.archive.program", self.url, *command, log=log)

    async def execute(self, statement: str) -> None:
        """By a person, beside the archive. `{archive}` is what the names of its tables begin with."""
        if self.kind == "sqlite":
            path = self.url.removeprefix("sqlite:///")
            with closing(sqlite3.connect(path, isolation_level=None)) as connection:
                connection.execute(statement.replace("{archive}", "eventbus_archive"))
            return
        connection = await asyncpg.connect(self.url, timeout=30)
        try:
            await connection.execute(statement.replace("{archive}", "eventbus_archive.event"))
        finally:
            await connection.close(timeout=5)
