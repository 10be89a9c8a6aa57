"""The `Store` on SQLite."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import AbstractAsyncContextManager, suppress
from typing import Final

from eventbus.clock import Clock, SystemClock
from eventbus.databases.sqlite.access import Access
from eventbus.databases.sqlite.address import Address
from eventbus.databases.sqlite.database import explained, is_passing, prepare, unavailable
from eventbus.databases.sqlite.writing import Writing
from eventbus.store import Joined, StoreUnavailable, Transaction
from eventbus.stores.options import StoreOptions
from eventbus.stores.sessions import of_the_driver
from eventbus.stores.sqlite.inbox import SqliteInbox
from eventbus.stores.sqlite.joining import join
from eventbus.stores.sqlite.logbook import SqliteLogbook
from eventbus.stores.sqlite.outbox import SqliteOutbox
from eventbus.stores.sqlite.owner import Owner
from eventbus.stores.sqlite.statements import schema
from eventbus.stores.sqlite.streams import SqliteStreams
from eventbus.stores.sqlite.transaction import Transactions
from eventbus.stores.sqlite.watch import Watch

_DEFAULTS: Final = StoreOptions()


class _Opened:
    """The parts of an open store."""

    def __init__(
        self, address: Address, options: StoreOptions, writing: Writing | None, clock: Clock
    ) -> None:
        self.watch = Watch(address, options.poll_interval)
        try:
            self.access = Access(address, options.timeout, writing)
        except sqlite3.Error as error:
            trouble = explained(error, address)  # while the other connection has its files: too many, maybe
            self.watch.close()
            raise trouble from error
        self.owner = Owner(address, options)
        self.inbox = SqliteInbox(self.access, self.owner, clock)
        self.outbox = SqliteOutbox(self.access, self.owner, options, clock, self.watch)
        self.logbook = SqliteLogbook(self.access, self.owner)
        self.transactions = Transactions(address, options.timeout, self.owner, self.watch)
        self.streams = SqliteStreams(self.access, options, clock, self.watch)


class SqliteStore:
    """`writing`: who writes to this file in this process already, if anybody does; see `Writing`."""

    def __init__(
        self,
        url: str,
        options: StoreOptions = _DEFAULTS,
        *,
        writing: Writing | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._address = Address.of(url)
        self._options = options
        self._writing = writing
        self._clock = clock or SystemClock()
        self._opening = asyncio.Lock()
        self._opened: _Opened | None = None

    @property
    def url(self) -> str:
        return self._address.url

    @property
    def inbox(self) -> SqliteInbox:
        return self._parts.inbox

    @property
    def outbox(self) -> SqliteOutbox:
        return self._parts.outbox

    @property
    def logbook(self) -> SqliteLogbook:
        return self._parts.logbook

    @property
    def streams(self) -> SqliteStreams:
        return self._parts.streams

    async def open(self) -> None:
        async with self._opening:
            if self._opened is not None:
                return
            address, options = self._address, self._options
            if address.file is not None:
                await asyncio.to_thread(prepare, address, schema(), options.timeout)
            try:
                opened = _Opened(address, options, self._writing, self._clock)
            except sqlite3.Error as error:
                raise explained(error, address) from error
            try:
                if address.file is None:  # after its first connection, which it lives as long as
                    await asyncio.to_thread(prepare, address, schema(), options.timeout)
                await opened.access.write_first(opened.owner.enter)
            except BaseException:
                await _close(opened)
                raise
            opened.owner.start()
            self._opened = opened

    async def close(self) -> None:
        async with self._opening:
            if self._opened is None:
                return
            opened, self._opened = self._opened, None
            await asyncio.to_thread(opened.owner.stop)
            with suppress(StoreUnavailable):  # then others find out that this process is gone
                await opened.access.write(opened.owner.leave, durable=False)
            await _close(opened)

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        return self._parts.transactions.transaction()

    def join(self, transaction: object) -> Joined:
        return join(transaction, self._address, self._parts.owner, self._clock, self._options.bus)

    def passing(self, raised: Exception) -> StoreUnavailable | None:
        error = of_the_driver(raised)
        if isinstance(error, sqlite3.Error) and is_passing(error):
            return unavailable(error, self._address)
        return None

    @property
    def _parts(self) -> _Opened:
        if self._opened is None:
            raise StoreUnavailable(self.url, "it is not open")
        return self._opened


async def _close(opened: _Opened) -> None:
    opened.watch.close()
    await opened.transactions.close()
    await opened.access.close()
