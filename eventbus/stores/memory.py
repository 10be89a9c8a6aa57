"""`memory://`: an inbox in this process, which forgets when that ends."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from itertools import islice, takewhile

from eventbus.clock import Clock, SystemClock
from eventbus.errors import ConfigurationError
from eventbus.store import Claim, InboxAnswer, InboxKey, Joined, Transaction, WrongTransaction
from eventbus.stores.options import StoreOptions

_REMEDY = "Use a store on SQLite or PostgreSQL: sqlite:///eventbus.db or postgresql://…"


class MemoryInbox:
    """The newest claims, at most as many as the options allow."""

    def __init__(self, limit: int, clock: Clock) -> None:
        self._limit = limit
        self._clock = clock
        self._claimed: OrderedDict[InboxKey, datetime] = OrderedDict()
        """In the order in which they were claimed."""
        self._handled: set[InboxKey] = set()
        self._known: Counter[str] = Counter()
        """How many keys of each subscription."""

    async def exchange(
        self,
        *,
        claim: Sequence[InboxKey] = (),
        complete: Sequence[InboxKey] = (),
        release: Sequence[InboxKey] = (),
    ) -> InboxAnswer:
        now = self._clock.now()
        for key in complete:
            self._remember(key, now)
            self._handled.add(key)
        for key in release:
            if key in self._claimed and key not in self._handled:
                self._forget(key)
        claims = [self._claim(key, now) for key in claim]
        while len(self._claimed) > self._limit:
            self._forget(next(iter(self._claimed)))
        return InboxAnswer(claims)

    async def purge(self, *, older: timedelta, limit: int) -> int:
        before = self._clock.now() - older
        aged = takewhile(lambda entry: entry[1] < before, self._claimed.items())
        forgotten = [key for key, _ in islice(aged, limit)]
        for key in forgotten:
            self._forget(key)
        return len(forgotten)

    async def remembers(self, subscription: str) -> bool:
        return self._known[subscription] > 0

    def _claim(self, key: InboxKey, now: datetime) -> Claim:
        if key in self._handled:
            return Claim.HANDLED
        self._remember(key, now)
        return Claim.OURS

    def _remember(self, key: InboxKey, now: datetime) -> None:
        if key not in self._claimed:
            self._claimed[key] = now
            self._known[key.subscription] += 1

    def _forget(self, key: InboxKey) -> None:
        del self._claimed[key]
        self._handled.discard(key)
        self._known[key.subscription] -= 1


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
