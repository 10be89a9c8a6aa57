"""How the parts of an adapter reach its database, with its errors translated."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import TypeVar

from eventbus.databases.sqlite.address import Address
from eventbus.databases.sqlite.database import connect, explained, patiently, unavailable
from eventbus.databases.sqlite.writing import OwnWriting, Writing
from eventbus.errors import BrokerUnreachable

Answer = TypeVar("Answer")


class Access:
    """Made on a file that is prepared."""

    def __init__(self, address: Address, timeout: float, writing: Writing | None) -> None:
        self.address = address
        self._timeout = timeout
        self._own = None if writing is not None and address.file is not None else OwnWriting(address, timeout)
        self._writing = self._own or writing
        self._is_closed = False

    async def write(self, work: Callable[[sqlite3.Connection], Answer], *, durable: bool) -> Answer:
        """Raises `StoreUnavailable`, and what `work` raises; see `Writing`."""
        try:
            return await self._write(work, durable=durable)
        except sqlite3.Error as error:
            raise unavailable(error, self.address) from error

    async def write_first(self, work: Callable[[sqlite3.Connection], Answer]) -> Answer:
        """Tells whether the file can be written; raises `ConfigurationError` where it cannot."""
        try:
            return await self._write(work, durable=False)
        except sqlite3.Error as error:
            raise explained(error, self.address) from error

    async def read(self, query: Callable[[sqlite3.Connection], Answer]) -> Answer:
        """Beside the writer, on a connection of its own: a long query holds nobody up."""

        def read() -> Answer:
            with closing(connect(self.address, sqlite3.Connection, durable=False)) as connection:
                return patiently(lambda: query(connection), self._timeout)

        if self._is_closed:
            raise self.address.unavailable("it is not open")
        try:
            return await asyncio.to_thread(read)
        except sqlite3.Error as error:
            raise unavailable(error, self.address) from error

    async def close(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            if self._own is not None:
                await self._own.close()

    async def _write(self, work: Callable[[sqlite3.Connection], Answer], *, durable: bool) -> Answer:
        if self._is_closed or self._writing is None:
            raise self.address.unavailable("it is not open")
        try:
            return await self._writing.write(work, durable=durable)
        except BrokerUnreachable as error:
            raise self.address.unavailable(error.problem) from error
