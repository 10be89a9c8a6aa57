"""`memory://`: an inbox in this process, which forgets when that ends."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from itertools import chain, islice, takewhile
from typing import Self

from eventbus.clock import Clock, SystemClock
from eventbus.errors import ConfigurationError
from eventbus.store import Claim, InboxAnswer, InboxKey, Joined, Transaction, WrongTransaction
from eventbus.stores.options import StoreOptions

_REMEDY = "Use a store on SQLite or PostgreSQL: sqlite:///eventbus.db or postgresql://…"


class MemoryInbox:
    """What was handled last, at most as much as the options allow."""

    def __init__(self, limit: int, clock: Clock) -> None:
        self._limit = limit
        self._clock = clock
        self._handled: OrderedDict[tuple[str, ...], datetime] = OrderedDict()
        """In the order in which it was. Plain tuples: the garbage collector need not look at them again and
        again, as it does at a hundred thousand objects of any other kind."""
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
        handled = self._handled
        if handled.keys().isdisjoint(keys):
            self._claimed.update(keys)
            return [Claim.OURS] * len(keys)
        self._claimed.update([key for key in keys if key not in handled])
        return [Claim.HANDLED if key in handled else Claim.OURS for key in keys]

    def complete(self, keys: Sequence[InboxKey]) -> None:
        handled = self._handled
        handled.update(dict.fromkeys(map(tuple, keys), self._clock.now()))
        self._claimed.difference_update(keys)
        while len(handled) > self._limit:
            handled.popitem(last=False)

    async def purge(self, *, older: timedelta, limit: int) -> int:
        before = self._clock.now() - older
        aged = takewhile(lambda entry: entry[1] < before, self._handled.items())
        forgotten = [key for key, _ in islice(aged, limit)]
        for key in forgotten:
            del self._handled[key]
        return len(forgotten)

    async def remembers(self, subscription: str) -> bool:
        return any(key[0] == subscription for key in chain(self._handled, self._claimed))


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
