"""`memory://`: an inbox in this process, which forgets when that ends."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from itertools import chain, islice, takewhile
from typing import Final, Self

from eventbus.clock import Clock, SystemClock
from eventbus.errors import ConfigurationError
from eventbus.store import Claim, InboxAnswer, InboxKey, Joined, Transaction, WrongTransaction
from eventbus.stores.options import StoreOptions

_REMEDY = "Use a store on SQLite or PostgreSQL: sqlite:///eventbus.db or postgresql://…"


TABLES: Final = 4
"""That what is handled is spread over, besides the one that is being filled."""


class MemoryInbox:
    """What was handled last: as much as the limit says, and up to a quarter more.

    It is in a few plain tables, the newest last, of which the oldest is forgotten whole. One of a million
    keys stops the process each time that Python builds it anew, and at every full garbage collection; with a
    table that nothing is added to any more the collector is done after one.
    """

    def __init__(self, limit: int, clock: Clock) -> None:
        self._share = -(-limit // TABLES)
        self._clock = clock
        self._tables: list[dict[tuple[str, ...], datetime]] = [{}]
        """When each key was handled, in that order. Plain tuples: of those alone, with texts in them, the
        collector learns that it need not look again; of a named tuple it does not."""
        self._claimed: set[InboxKey] = set()

    @property
    def at_once(self) -> Self:
        return self

    async def exchange(
        self,
        *,
        claim: Sequence[InboxKey] = (),
        complete: Sequence[InboxKey] = (),
        release: Sequence[InboxKey] = (),
    ) -> InboxAnswer:
        self.complete(complete)
        self._claimed.difference_update(release)
        return InboxAnswer(self.claim(claim))

    def claim(self, keys: Sequence[InboxKey]) -> Sequence[Claim]:
        tables = [table for table in self._tables if not table.keys().isdisjoint(keys)]
        if not tables:
            self._claimed.update(keys)
            return [Claim.OURS] * len(keys)
        handled = {key for key in keys if any(key in table for table in tables)}
        self._claimed.update([key for key in keys if key not in handled])
        return [Claim.HANDLED if key in handled else Claim.OURS for key in keys]

    def complete(self, keys: Sequence[InboxKey]) -> None:
        newest = self._tables[-1]
        newest.update(dict.fromkeys(map(tuple, keys), self._clock.now()))
        self._claimed.difference_update(keys)
        if len(newest) >= self._share:
            self._tables = [*self._tables[-TABLES:], {}]

    async def purge(self, *, older: timedelta, limit: int) -> int:
        before = self._clock.now() - older
        entries = ((table, key, at) for table in self._tables for key, at in table.items())
        aged = takewhile(lambda entry: entry[2] < before, entries)
        forgotten = list(islice(aged, limit))
        for table, key, _ in forgotten:
            del table[key]
        return len(forgotten)

    async def remembers(self, subscription: str) -> bool:
        return any(key[0] == subscription for key in chain(*self._tables, self._claimed))


class MemoryStore:
    """An inbox only, of this process alone."""

    def __init__(self, options: StoreOptions, clock: Clock | None = None) -> None:
        self._inbox = MemoryInbox(options.inbox_limit, clock or SystemClock())

    @property
    def url(self) -> str:
        return "memory://"

    @property
    def inbox(self) -> MemoryInbox:
        return self._inbox

    @property
    def outbox(self) -> None:
        return None

    @property
    def logbook(self) -> None:
        return None

    @property
    def streams(self) -> None:
        return None

    async def open(self) -> None:
        """Nothing to create."""

    async def close(self) -> None:
        """It is forgotten with this object."""

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        raise ConfigurationError(f"the store memory:// is an inbox only: it has no transactions. {_REMEDY}")

    def join(self, transaction: object) -> Joined:  # noqa: ARG002  the port's
        raise WrongTransaction("the store memory:// is an inbox only", _REMEDY)

    def passing(self, raised: Exception) -> None:  # noqa: ARG002  the port's
        return None
