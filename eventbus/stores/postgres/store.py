"""The `Store` on PostgreSQL."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager, suppress
from typing import Final

from eventbus.clock import Clock, SystemClock
from eventbus.databases.postgres.address import Address
from eventbus.databases.postgres.database import PASSING, explained
from eventbus.databases.postgres.lane import Lane
from eventbus.store import Joined, StoreUnavailable, Transaction
from eventbus.stores.options import StoreOptions
from eventbus.stores.postgres.identity import Identity, prepare
from eventbus.stores.postgres.inbox import PostgresInbox
from eventbus.stores.postgres.joining import Place
from eventbus.stores.postgres.logbook import PostgresLogbook
from eventbus.stores.postgres.outbox import PostgresOutbox
from eventbus.stores.postgres.owner import Owner
from eventbus.stores.postgres.statements import Statements
from eventbus.stores.postgres.streams import PostgresStreams
from eventbus.stores.postgres.transaction import Transactions
from eventbus.stores.sessions import of_the_driver

_DEFAULTS: Final = StoreOptions()
_LAST_WORD: Final = 2.0
"""Seconds to say that this process goes."""


class _Opened:
    """The parts of an open store."""

    def __init__(
        self,
        address: Address,
        statements: Statements,
        options: StoreOptions,
        clock: Clock,
        identity: Identity,
    ) -> None:
        self.owner = Owner(address, statements, options)
        self.lane = Lane(address, options.timeout)
        self.second_lane = Lane(address, options.timeout)
        self.inbox = PostgresInbox((self.lane, self.second_lane), self.owner, statements, clock)
        self.outbox = PostgresOutbox(address, statements, options, clock)
        self.logbook = PostgresLogbook(self.lane, self.owner, statements)
        self.transactions = Transactions(address, options.timeout)
        self.place = Place(address, statements, identity, options.bus)
        self.streams = PostgresStreams(self.place, options, clock)

    async def close(self) -> None:
        """Side by side, for each waits a moment for a server that may be silent."""
        parts = (self.transactions, self.streams, self.outbox, self.lane, self.second_lane)
        await asyncio.gather(*(part.close() for part in parts))


class PostgresStore:
    """Tables in the schema that the options name, `eventbus` by default, of a database of the user's."""

    def __init__(self, url: str, options: StoreOptions = _DEFAULTS, clock: Clock | None = None) -> None:
        self._address = Address.of(url)
        self._statements = Statements(options.schema)
        self._options = options
        self._clock = clock or SystemClock()
        self._opening = asyncio.Lock()
        self._opened: _Opened | None = None

    @property
    def url(self) -> str:
        return self._address.url

    @property
    def inbox(self) -> PostgresInbox:
        return self._parts.inbox

    @property
    def outbox(self) -> PostgresOutbox:
        return self._parts.outbox

    @property
    def logbook(self) -> PostgresLogbook:
        return self._parts.logbook

    @property
    def streams(self) -> PostgresStreams:
        return self._parts.streams

    async def open(self) -> None:
        async with self._opening:
            if self._opened is not None:
                return
            identity = await prepare(self._address, self._statements, self._options.timeout)
            opened = _Opened(self._address, self._statements, self._options, self._clock, identity)
            try:
                await opened.lane.ask(opened.owner.enter)
                opened.owner.start()
            except BaseException:
                await opened.close()
                raise
            self._opened = opened

    async def close(self) -> None:
        async with self._opening:
            if self._opened is None:
                return
            opened, self._opened = self._opened, None
            await asyncio.to_thread(opened.owner.stop)
            with suppress(StoreUnavailable, TimeoutError):  # then others find out that this process is gone
                async with asyncio.timeout(_LAST_WORD):
                    await opened.lane.ask(opened.owner.leave)
            await opened.close()

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        return self._parts.transactions.transaction()

    def join(self, transaction: object) -> Joined:
        parts = self._parts
        return parts.place.join(transaction, parts.owner, self._clock)

    def passing(self, raised: Exception) -> StoreUnavailable | None:
        error = of_the_driver(raised)
        return explained(error, self._address) if isinstance(error, PASSING) else None

    @property
    def _parts(self) -> _Opened:
        if self._opened is None:
            raise StoreUnavailable(self.url, "it is not open")
        return self._opened
