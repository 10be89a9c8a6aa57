"""The event store: streams of events in the bus's store, which reach the bus through its outbox."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from typing import Any, Final, Protocol, TypeVar

from eventbus.clock import Clock
from eventbus.codec import Codec, Limits
from eventbus.envelope import Envelope
from eventbus.errors import ConfigurationError, InvalidEvent, UnregisteredEvent
from eventbus.event import Event
from eventbus.event_store import Appended, Appending, Conflict, ReadableStreams, StoredEvent, Streams
from eventbus.ids import new_event_id
from eventbus.registry import Registry
from eventbus.sourcing.errors import InvalidStream, UnknownStream, UnreadableEvent, VersionConflict
from eventbus.sourcing.recorded import Reading, Recorded
from eventbus.store import Store

E = TypeVar("E", bound=Event)

MAX_NAME_BYTES: Final = 255
_MAX_VERSION: Final = 2**53
_PAGE: Final = 1000
"""Events that are in memory at a time."""


class Kept(Protocol):
    async def opened_store(self) -> Store: ...


class Settings(Protocol):
    @property
    def max_body_bytes(self) -> int: ...


class Host(Protocol):
    """What of a `Bus` an event store needs."""

    @property
    def source(self) -> str: ...
    @property
    def clock(self) -> Clock: ...
    @property
    def registry(self) -> Registry: ...
    @property
    def settings(self) -> Settings: ...
    @property
    def kept(self) -> Kept: ...


class EventStore:
    """Streams of events: `EventStore(bus, [Deposited, Withdrawn])`.

    It is in the bus's store, on SQLite or PostgreSQL, and can be made before the bus is open. `events`: the
    classes of what the streams hold, with those that their upcasters read; an aggregate or a projection adds
    its own.
    """

    def __init__(self, bus: Host, events: Iterable[type[Event]] = ()) -> None:
        self._bus = bus
        self._registry = bus.registry
        self._codec = Codec(Limits(body=bus.settings.max_body_bytes))
        self.reading = Reading(self._registry)
        self.learn(events)

    def learn(self, events: Iterable[type[Event]]) -> None:
        """Raises `DuplicateEvent` where another class has the same type and version."""
        for event in events:
            self._registry.add(event)

    async def append(
        self,
        stream: str,
        events: Iterable[Event | Envelope[Any]] | Event | Envelope[Any],
        expected_version: int | None,
        *,
        cause: Envelope[Any] | None = None,
        correlation_id: str | None = None,
        transaction: object = None,
    ) -> int:
        """Append to the end of a stream, and put the same into the outbox; the answer is the new version.

        `expected_version` is the one that the decision was made on: 0 for a stream that does not exist, None
        for whichever it has. `cause`: the event that led to these, in a handler `context.envelope`. With a
        `transaction`, as `bus.publish` takes it, they become true when that commits.

        Raises `VersionConflict`, `InvalidStream`, `InvalidEvent` or `WrongTransaction`, and nothing is
        written; `StoreUnavailable`, after which only reading tells whether it was.
        """
        check_name(stream)
        _check_version("expected_version", expected_version)
        causes = _causes(cause, correlation_id)
        given = [events] if isinstance(events, (Event, Envelope)) else list(events)
        if not given:
            raise InvalidStream("events", "must be one at least", given)
        appending = self._appending(stream, expected_version, [self._wrap(e, stream, causes) for e in given])
        streams = await self.streams()
        writable = streams if transaction is None else streams.join(transaction)
        match await writable.append(appending):
            case Appended(version):
                return version
            case Conflict(actual):
                raise VersionConflict(stream, expected_version or 0, actual)

    async def version(self, stream: str, *, transaction: object = None) -> int:
        """How many events the stream has; 0 where it does not exist."""
        check_name(stream)
        return await (await self.readable(transaction)).version(stream)

    async def read(
        self, stream: str, from_version: int = 1, *, transaction: object = None
    ) -> AsyncGenerator[Recorded[Event]]:
        """The events of a stream in their order, each as the newest version of its class.

        With a `transaction`, what that has appended is among them. Raises `UnknownStream`, and
        `UnreadableEvent` at the first that no class can read.
        """
        check_name(stream)
        if from_version < 1:
            raise InvalidStream("from_version", "must be 1 or more", from_version)
        is_known = False
        async for page in self.pages(stream, after=from_version - 1, transaction=transaction):
            for stored in page:
                yield self.reading.newest(stored)
            is_known = True
        if not is_known and await self.version(stream, transaction=transaction) == 0:
            raise UnknownStream(stream)

    async def read_all(self, after: int = 0) -> AsyncGenerator[Recorded[Event]]:
        """All events from the position behind `after`, up to the newest, in the order of all streams.

        Whoever has seen a position has seen everything before it: nothing appears there later.
        """
        if after < 0:
            raise InvalidStream("after", "must be 0 or more", after)
        streams = await self.streams()
        while page := await streams.read_all(after=after, limit=_PAGE):
            for stored in page:
                yield self.reading.newest(stored)
            after = page[-1].position or after
            if len(page) < _PAGE:
                return

    async def pages(
        self, stream: str, *, after: int, transaction: object = None
    ) -> AsyncIterator[Sequence[StoredEvent]]:
        """Rows, a thousand at a time, none of them empty."""
        streams = await self.readable(transaction)
        while page := await streams.read(stream, after=after, limit=_PAGE):
            yield page
            if len(page) < _PAGE:
                return
            after = page[-1].version

    async def store(self) -> Store:
        """Raises `StoreUnavailable`, or `EventBusError` while the bus is not open."""
        return await self._bus.kept.opened_store()

    async def streams(self) -> Streams:
        """Raises `ConfigurationError` for a store that is an inbox only."""
        store = await self.store()
        if (streams := store.streams) is None:
            raise ConfigurationError(
                f"the store at {store.url} is an inbox only, it keeps no events: use sqlite:///eventbus.db "
                "or postgresql://…, in EVENTBUS_STORE or Bus(store=…)."
            )
        return streams

    async def readable(self, transaction: object) -> ReadableStreams:
        """As it is inside of the transaction; None: as it is committed."""
        streams = await self.streams()
        return streams if transaction is None else streams.join(transaction)

    def _wrap(
        self, event: Event | Envelope[Any], stream: str, causes: dict[str, str | None]
    ) -> Envelope[Event]:
        members: dict[str, str | None] = {"source": self._bus.source, "key": stream, **causes}
        if isinstance(event, Event):
            return Envelope.wrap(event, event_id=new_event_id(), timestamp=self._bus.clock.now(), **members)
        if not isinstance(event, Envelope) or not isinstance(event.data, Event):  # pyright: ignore[reportUnnecessaryIsInstance]  users without types
            raise InvalidEvent("events", "must be Events, or Envelopes of them", event)
        said = {name: value for name in members if (value := getattr(event, name)) is not None}
        data: Event = event.data
        return Envelope.wrap(data, event_id=event.event_id, timestamp=event.timestamp, **{**members, **said})

    def _appending(
        self, stream: str, expected: int | None, envelopes: Sequence[Envelope[Event]]
    ) -> Appending:
        messages = [self._codec.encode(envelope) for envelope in envelopes]
        for envelope, message in zip(envelopes, messages, strict=True):
            self._check_readable(
                StoredEvent(stream, 0, None, envelope.event_type, envelope.version, message.body)
            )
        return Appending(
            stream,
            expected,
            messages,
            [envelope.key for envelope in envelopes],
            [envelope.version for envelope in envelopes],
        )

    def _check_readable(self, stored: StoredEvent) -> None:
        """What is appended stays for ever: raises `InvalidEvent` where nobody could read it again."""
        if self._registry.newest(stored.event_type) is None:
            problem = (
                "is unknown to this event store, which could not read it again: EventStore(bus, [ItsClass])"
            )
            raise UnregisteredEvent("event_type", problem, event_type=stored.event_type)
        try:
            self.reading.newest(stored)
        except UnreadableEvent as error:
            problem = f"could not be read again: {error.problem}"
            raise InvalidEvent("data", problem, event_type=stored.event_type) from error


def check_name(stream: object) -> None:
    """Raises `InvalidStream`."""
    try:
        size = len(stream.encode()) if isinstance(stream, str) else 0
    except UnicodeEncodeError:  # a lone surrogate
        size = 0
    if not 0 < size <= MAX_NAME_BYTES or any(c < " " or c == "\x7f" for c in str(stream)):
        problem = f"must be 1 to {MAX_NAME_BYTES} bytes of text without control characters"
        raise InvalidStream("stream", problem, stream)


def _check_version(field: str, version: object) -> None:
    if version is None:
        return
    if not isinstance(version, int) or isinstance(version, bool) or not 0 <= version <= _MAX_VERSION:
        problem = "must be the version the stream has, 0 for a new one, or None for whichever it has"
        raise InvalidStream(field, problem, version)


def _causes(cause: Envelope[Any] | None, correlation_id: str | None) -> dict[str, str | None]:
    if cause is None:
        return {"correlation_id": correlation_id, "causation_id": None}
    flow = correlation_id or cause.correlation_id or cause.event_id
    return {"correlation_id": flow, "causation_id": cause.event_id}
