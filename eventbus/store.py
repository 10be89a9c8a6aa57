"""The port to what must survive a crash on our side of the broker.

The inbox remembers what each subscription has handled; the outbox keeps events that were written together
with the state they tell of, until the broker has them. Every store passes the one suite in
`tests/conformance/store`.
"""

from __future__ import annotations

from collections.abc import Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum, auto
from typing import Any, Final, NamedTuple, Protocol

from eventbus.errors import EventBusError
from eventbus.event_store import Streams
from eventbus.logbook import Logbook
from eventbus.transport import Message
from eventbus.value import value


class InboxKey(NamedTuple):
    """What is handled once: an event, by a subscription; anew in each replay that asks for it."""

    subscription: str
    event_id: str
    replay: str = ""


class Claim(Enum):
    """What became of the wish to handle something."""

    OURS = auto()
    """Handle it, and then complete or release it. Also what this process has claimed before."""
    HANDLED = auto()
    """It has had its effect."""
    HELD = auto()
    """Another process is handling it, and alive: ask again."""


NOTHING_LOST: Final[frozenset[InboxKey]] = frozenset()


@value
class InboxAnswer:
    """What an exchange with the inbox has brought."""

    claims: Sequence[Claim]
    """One for each that was to be claimed, in that order."""
    lost: frozenset[InboxKey] = NOTHING_LOST
    """Of those to complete: this process was taken for dead, and they are another's by now."""


class InboxAtOnce(Protocol):
    """An inbox that waits for nothing, and whose claims nobody else can take over."""

    def claim(self, keys: Sequence[InboxKey]) -> Sequence[Claim]: ...

    def complete(self, keys: Sequence[InboxKey]) -> None: ...


class Inbox(Protocol):
    """Claims belong to a process (one opened store), and last while it says that it lives."""

    @property
    def at_once(self) -> InboxAtOnce | None:
        """The same without waiting, where it is in the memory: nothing is gained by asking together then."""
        ...

    async def exchange(
        self,
        *,
        claim: Sequence[InboxKey] = (),
        complete: Sequence[InboxKey] = (),
        release: Sequence[InboxKey] = (),
    ) -> InboxAnswer:
        """Complete, release and claim, in this order, in one round trip and one transaction.

        Each list names a key once. To complete what is completed, and to release what is not ours, changes
        nothing. Durable when it returns; raises `StoreUnavailable`, and doing it again is always right.
        """
        ...

    async def purge(self, *, older: timedelta, limit: int) -> int:
        """Forget what was claimed longer ago, at most `limit` of it; the answer is how many."""
        ...

    async def remembers(self, subscription: str) -> bool:
        """Whether anything is known that this subscription has handled, or is handling."""
        ...


@dataclass(frozen=True, slots=True)
class OutboxEntry:
    """One event that the broker does not have yet."""

    id: int
    message: Message
    """Its `delay` is what is left of it."""
    key: str | None


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits for a relay."""

    events: int
    bytes: int
    """Of their bodies."""
    oldest_age: float | None
    """Seconds; None where nothing waits."""


class Taken(Protocol):
    """Entries that no other relay sends meanwhile."""

    @property
    def entries(self) -> Sequence[OutboxEntry]:
        """In the order in which they were put; those of one key are never with two relays at once."""
        ...

    async def sent(self, entries: Sequence[OutboxEntry]) -> None:
        """The broker has these: remove them, or keep them as sent, as the store's options say."""
        ...


class Outbox(Protocol):
    """Of one bus; others may have theirs in the same database, and what says of no bus is of all."""

    async def put(self, messages: Sequence[Message], keys: Sequence[str | None]) -> None:
        """In a transaction of its own. On the disk when it returns."""
        ...

    def take(self, limit: int) -> AbstractAsyncContextManager[Taken]:
        """What is to be sent next; what was not `sent` at the end of the context can be taken again."""
        ...

    async def changed(self, *, within: float) -> None:
        """Return when there may be something to take, or after so many seconds."""
        ...

    async def backlog(self) -> Backlog: ...

    async def backlogs_of_others(self) -> Mapping[str, Backlog]:
        """What waits there of other buses, by the bus."""
        ...


class Transaction(Protocol):
    """A handler that asks for it runs inside: `async def book(event: OrderPaid, transaction: Transaction)`.

    Its own statements, the mark that the event is handled, and everything it publishes become true together
    when it returns, or not at all when it raises.
    """

    @property
    def connection(self) -> Any:
        """The driver's own: a `sqlite3.Connection`, an `asyncpg.Connection`. Neither commit nor close it.

        A plain handler can use the former; the latter needs the event loop, and raises `WrongTransaction`.
        """
        ...

    def execute(self, statement: str, *parameters: object) -> Coroutine[Any, Any, int]:
        """How many rows it changed. Placeholders as the database has them: `?` or `$1`.

        Where nobody has awaited it when the handler returns, as in a plain one, the run fails.
        """
        ...

    def fetch(
        self, statement: str, *parameters: object
    ) -> Coroutine[Any, Any, Sequence[Mapping[str, Any]]]: ...


class Joined(Protocol):
    """What the bus writes in somebody's transaction; it commits and vanishes with that."""

    async def put(self, messages: Sequence[Message], keys: Sequence[str | None]) -> None: ...

    def put_now(self, messages: Sequence[Message], keys: Sequence[str | None]) -> None:
        """The same without an event loop; raises `WrongTransaction` where the connection needs one."""
        ...

    async def complete(self, keys: Sequence[InboxKey]) -> frozenset[InboxKey]:
        """Those of them that are not ours any more: then nothing of the transaction may become true."""
        ...


class Store(Protocol):
    @property
    def url(self) -> str:
        """Where it is, without secrets; fit for logs."""
        ...

    @property
    def inbox(self) -> Inbox: ...

    @property
    def outbox(self) -> Outbox | None:
        """None where the store is an inbox only."""
        ...

    @property
    def streams(self) -> Streams | None:
        """None where the store is an inbox only."""
        ...

    @property
    def logbook(self) -> Logbook | None:
        """None where the store is an inbox only."""
        ...

    async def open(self) -> None:
        """Create or migrate what is ours, under a lock; from now on this process says that it lives.

        Raises `StoreUnavailable`, or `ConfigurationError` for one that cannot work: of a newer schema,
        read-only, no database at all.
        """
        ...

    async def close(self) -> None:
        """Its claims are released."""
        ...

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """Commits at the end of the context, rolls back when it is left by an error.

        Raises `StoreUnavailable`, `ConfigurationError` where the store is an inbox only.
        """
        ...

    def join(self, transaction: object) -> Joined:
        """For one of `transaction`, or a user's own connection or session to the same database.

        Raises `WrongTransaction` before anything is written.
        """
        ...

    def passing(self, raised: Exception) -> StoreUnavailable | None:
        """What an error of the driver says, be it one that SQLAlchemy has wrapped, where it may pass.

        None for any other: a wrong statement, a broken constraint.
        """
        ...


class StoreUnavailable(EventBusError):
    """The database does not answer, or takes nothing. What was asked of it may be asked again."""

    def __init__(self, url: str, problem: str, what: str = "store") -> None:
        """`what` is kept there: store, archive."""
        self.url = url
        self.problem = problem
        remedy = (
            "Handlers wait until it is; `eventbus doctor` tells more."
            if what == "store"
            else "Nothing is lost: it goes on where it was when the database is there."
        )
        super().__init__(f"the {what} at {url} is not available: {problem}. {remedy}")


@dataclass(frozen=True, slots=True)
class StoreReport:
    """How a store is, for those who only look."""

    url: str | None
    """Without secrets; None where it cannot be read."""
    problem: EventBusError | None = None
    """`StoreUnavailable`, or the `ConfigurationError` with which it could not be opened as it is."""
    is_missing: bool = False
    """It was named, and no process has opened it yet."""

    @property
    def reason(self) -> str | None:
        """Why there is nothing to be had of it; None where all is well."""
        if self.is_missing:
            on_this_machine = " on this machine" if str(self.url).startswith("sqlite:") else ""
            return f"no process{on_this_machine} has opened it yet"
        if isinstance(self.problem, StoreUnavailable):
            return self.problem.problem
        return None if self.problem is None else str(self.problem)


class WrongTransaction(EventBusError):
    """What was given as a transaction is none of this store's; nothing was written."""

    def __init__(self, problem: str, remedy: str) -> None:
        self.problem = problem
        self.remedy = remedy
        super().__init__(f"transaction: {problem}. {remedy}")
