"""The port to the broker. Every adapter passes the one suite in `tests/conformance`.

Small, and made for batches: speed comes from sending and settling many at once.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Literal, Protocol, Self

from eventbus import headers as names_of
from eventbus.broker_report import BrokerReport
from eventbus.headers import NO_HEADERS, Headers
from eventbus.outcome import Outcome
from eventbus.value import value

LogStart = Literal["first", "next"] | int | datetime
"""Where to begin in the log: its oldest entry, what comes from now on, an offset, or a time."""


@value
class Message:
    """What travels: bytes, the key they are routed by, and what the transport must know beside them."""

    body: bytes
    routing_key: str
    headers: Headers = field(default_factory=lambda: NO_HEADERS)
    event_id: str | None = None
    event_type: str | None = None
    content_type: str | None = "application/json"
    timestamp: datetime | None = None
    source: str | None = None
    correlation_id: str | None = None
    queue: str | None = None
    """On the way out: only to this subscription's queue, or with `.dead` behind its name to its dead letters.
    None: to every queue bound for the routing key. On the way in: of a dead letter that lies among those of
    no subscription of its own, whose it is; else None."""
    delay: float = 0.0
    """On the way out: seconds until it becomes due; kept by the broker, rounded up, never early."""


@value
class Delivery:
    """One hand-over of one message to one consumer of one queue."""

    message: Message
    queue: str
    attempt: int
    """1-based count of handler runs, from our own header; not the broker's redelivery."""
    redelivered: bool
    tag: object
    """The adapter's own handle; nobody else looks inside."""


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One event of the history."""

    offset: int
    message: Message
    logged_at: datetime | None
    missing: int = 0
    """So many entries right before it were removed by retention while the reader was on its way to them, or
    since the offset that it began with. 0 where the transport cannot tell."""


@dataclass(frozen=True, slots=True)
class LogBounds:
    """Offsets of the history; there may be fewer entries between them than there are numbers."""

    first: int
    """Retention has removed what was before it."""
    end: int
    """Whatever was confirmed by now lies before it, what is sent from now on does not."""


@dataclass(frozen=True, slots=True)
class DeadLetterEntry:
    """One dead letter as it lies in its queue: original bytes, id and routing key in `message`."""

    message: Message
    reason: str
    error: str
    attempts: int
    first_failed_at: datetime | None
    died_at: datetime | None

    @classmethod
    def of(cls, message: Message) -> Self:
        """As the headers of the message tell; what another program wrote there may be no time."""
        found = message.headers
        return cls(
            message=message,
            reason=_text(found.get(names_of.REASON)),
            error=_text(found.get(names_of.ERROR)),
            attempts=names_of.attempt(found),
            first_failed_at=_time(found.get(names_of.FIRST_FAILED_AT)),
            died_at=_time(found.get(names_of.FAILED_AT)),
        )


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _time(value: object) -> datetime | None:
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    if not isinstance(value, datetime):
        return None
    return value if value.tzinfo else value.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class QueueStats:
    """How one subscription is doing. None where this transport cannot know."""

    queue: str
    ready: int
    in_flight: int | None
    delayed: int | None
    dead: int
    oldest_age: float | None
    """Seconds that the oldest ready event has waited."""
    consumers: int
    dead_consumers: int = 0
    """How many take from its dead letters at this moment: what they hold, others do not see."""


@dataclass(frozen=True, slots=True)
class QueueSpec:
    """One subscription's durable queue and the binding patterns that fill it."""

    name: str
    patterns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Topology:
    """What must exist: the exchange and the log of the namespace always, and these queues."""

    queues: tuple[QueueSpec, ...] = field(default=())


APPLY: Final = "eventbus topology apply"
"""In a fix: the command, to which whoever knows the services adds them."""
PRUNE: Final = f"{APPLY} --prune"
UNBIND: Final = f"once no worker that was built with it runs any more: {PRUNE}"
"""The fix of a binding that a subscription does not have any more."""


@dataclass(frozen=True, slots=True)
class Drift:
    """One difference between the topology that should be and the one that is."""

    kind: Literal["missing", "changed", "unexpected", "unknown"]
    """`unknown`: nobody could compare it, and it may be as it should be."""
    what: str
    """For example `queue payment.charge_order` or `binding order.* → payment.audit`."""
    found: str
    fix: str


def left_over(queue: str) -> Drift:
    """A queue of one of the services that none of its subscriptions has."""
    fix = (
        f"handle what is in it, and what is in {queue}.dead, then delete both: docs/how-to/operate.md, "
        '"Renaming or splitting a subscription"'
    )
    return Drift("unexpected", f"queue {queue}", "no subscription has it, and nobody empties it", fix)


class Consumption(Protocol):
    """Consuming from one queue: `async with transport.consume(…) as consumption: async for batch in …`.

    Entered when the broker hands over to it; it consumes again by itself after any loss. Iterating gives
    non-empty batches, and ends after `stop`. Left without `settle`, a delivery comes back to the queue.
    """

    @property
    def losses(self) -> int:
        """How often it lost what it held, such as with its connection; to be trusted after it is left.

        0: what was settled is settled. Else some of that may come again.
        """
        ...

    def __aiter__(self) -> AsyncIterator[Sequence[Delivery]]: ...

    async def settle(self, outcomes: Sequence[tuple[Delivery, Outcome]]) -> None:
        """Carry out the outcomes: acked only after the confirmed copy, where there is one.

        Never raises for a delivery that was lost with its connection: it will be handed over again.
        """
        ...

    async def stop(self) -> None:
        """Take no more deliveries; those handed over can still be settled."""
        ...


class Transport(Protocol):
    @property
    def url(self) -> str:
        """Where it leads, without secrets; fit for logs."""
        ...

    @property
    def handling_limit(self) -> float | None:
        """Seconds that a consumer may hold a delivery until the broker takes it back; None: for ever."""
        ...

    @property
    def log_lag(self) -> float:
        """Seconds after which the log has whatever was routed before a queue was bound."""
        ...

    async def open(self) -> None:
        """Connect; raise `BrokerUnreachable` when that does not succeed within the connect timeout."""
        ...

    async def close(self) -> None: ...

    async def apply(self, topology: Topology) -> None:
        """Make it exist; changes nothing that is there. Raises `TopologyError` when what is there differs."""
        ...

    async def prune(self, topology: Topology) -> None:
        """Unbind from these queues the patterns that it has not for them; what is in them stays.

        Raises `ConfigurationError` where the broker does not tell what is bound.
        """
        ...

    async def diff(self, topology: Topology) -> Sequence[Drift]: ...

    async def send(
        self, messages: Sequence[Message], *, timeout: float, patience: float | None = None
    ) -> None:
        """Return when the broker has them all; else SendFailed, with the fate of each.

        Order is kept for messages of one call. `timeout` in seconds bounds the whole call. `patience`: after
        so many seconds in which the broker has confirmed nothing, whoever has sent it, it counts as away.
        """
        ...

    def consume(self, queue: str, *, prefetch: int) -> AbstractAsyncContextManager[Consumption]:
        """`prefetch`: how many deliveries may be handed over and not settled at one time."""
        ...

    def log(
        self, start: LogStart, *, until: int | None = None
    ) -> AbstractAsyncContextManager[AsyncIterator[Sequence[LogEntry]]]:
        """The history from `start` on, in order, in non-empty batches; what retention removed is left out.

        It ends before the offset `until`, an end that `log_bounds` has given; None: it waits for more.
        Entered when its place is found: what is sent from then on is in it. Raises `LogReplaced` when it was
        deleted and declared again meanwhile.
        """
        ...

    async def log_bounds(self) -> LogBounds:
        """Where the history begins and ends at this moment."""
        ...

    async def dead_letters(self, queue: str, *, limit: int) -> Sequence[DeadLetterEntry]:
        """The oldest first; looking changes nothing."""
        ...

    def browse(self, queue: str, *, limit: int) -> AsyncGenerator[Sequence[DeadLetterEntry]]:
        """The same in non-empty batches while they are read; to be closed, as by `contextlib.aclosing`.

        It ends, too, when others hold what is left of them, and at as many as the broker hands out at a time:
        65 535 on RabbitMQ.
        """
        ...

    async def queues(self) -> Sequence[str]:
        """The names of all subscription queues of this namespace, sorted."""
        ...

    async def patterns(self, queue: str) -> Sequence[str]:
        """By which the queue is bound to the events, sorted.

        Raises `TopologyError` where it does not exist, `ConfigurationError` where the broker does not tell.
        """
        ...

    async def stats(self, queues: Sequence[str]) -> Sequence[QueueStats]: ...

    async def inspect(self) -> BrokerReport:
        """What the broker says of itself; only `BrokerUnreachable` is raised, all else is left unknown."""
        ...
