"""`memory://`: an inbox in this process, which forgets when that ends."""

from __future__ import annotations

from collections import OrderedDict
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

    answers_at_once = True

    def __init__(self, limit: int, clock: Clock) -> None:
        self._limit = limit
        self._clock = clock
        self._claimed: OrderedDict[tuple[str, ...], datetime] = OrderedDict()
        """In the order in which they were claimed. Plain tuples: the garbage collector need not look at them
        again and again, as it does at a hundred thousand objects of any other kind."""
        self._handled: set[tuple[str, ...]] = set()

    async def exchange(
        self,
        *,
        claim: Sequence[InboxKey] = (),
        complete: Sequence[InboxKey] = (),
        release: Sequence[InboxKey] = (),
    ) -> InboxAnswer:
        now = self._clock.now()
        for key in complete:
            kept = tuple(key)
            self._claimed.setdefault(kept, now)
            self._handled.add(kept)
        for key in release:
            if key not in self._handled:
                self._claimed.pop(key, None)
        claims = [self._claim(key, now) for key in claim]
        while len(self._claimed) > self._limit:
            self._handled.discard(self._claimed.popitem(last=False)[0])
        return InboxAnswer(claims)

    async def purge(self, *, older: timedelta, limit: int) -> int:
        before = self._clock.now() - older
        aged = takewhile(lambda entry: entry[1] < before, self._claimed.items())
        forgotten = [key for key, _ in islice(aged, limit)]
        for key in forgotten:
            del self._claimed[key]
            self._handled.discard(key)
        return len(forgotten)

    def _claim(self, key: InboxKey, now: datetime) -> Claim:
        if key in self._handled:
            return Claim.HANDLED
        self._claimed.setdefault(tuple(key), now)
        return Claim.OURS


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

    async def open(self) -> None:
        """Nothing to create."""

    async def close(self) -> None:
        """It is forgotten with this object."""

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        raise ConfigurationError(f"the store memory:// is an inbox only: it has no transactions. {_REMEDY}")

    def join(self, transaction: object) -> Joined:  # noqa: ARG002  the port's
        raise WrongTransaction("the store memory:// is an inbox only", _REMEDY)
