"""Loading aggregates out of their streams, and saving what they have recorded."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

from eventbus.envelope import Envelope
from eventbus.errors import ConfigurationError, describe
from eventbus.event import Event
from eventbus.event_store import StoredEvent, StoredSnapshot
from eventbus.logs import get_logger
from eventbus.sourcing.aggregate import Aggregate, check, snapshot_kind, stream_of
from eventbus.sourcing.errors import UnappliedEvent, UnknownStream, VersionConflict
from eventbus.sourcing.event_store import EventStore, check_name

A = TypeVar("A", bound=Aggregate)

_LOSSY: Final = (
    "no snapshot is taken of such a state: give the fields the types of what they hold, dict[int, str] say"
)


class Repository(Generic[A]):
    """The aggregates of one class: `Repository(EventStore(bus), Account, snapshot_every=100)`.

    `snapshot_every`: how many events apart snapshots are taken, so that loading reads no more than so many;
    None: every load reads the whole stream.
    """

    def __init__(self, events: EventStore, kind: type[A], *, snapshot_every: int | None = None) -> None:
        """Raises `ConfigurationError` for a class that cannot be kept so."""
        if snapshot_every is not None and snapshot_every < 1:
            raise ConfigurationError(
                f"snapshot_every={snapshot_every!r}: 1 or more, or None for no snapshots."
            )
        check(kind, snapshots=snapshot_every is not None)
        self._events = events
        self._kind = kind
        self._every = snapshot_every
        self._snapshots = snapshot_kind(kind) if snapshot_every is not None else ""
        self._classes = {event.__event_type__: event for event in kind.__applies__}
        self._is_lossy_told = False
        self._log = get_logger("eventbus.sourcing")
        events.learn(kind.__applies__)

    async def load(self, id: str, *, transaction: object = None) -> A:
        """Its state now, with what the `transaction` has saved.

        Raises `UnknownStream`, `UnreadableEvent`, `UnappliedEvent`.
        """
        aggregate = await self.find(id, transaction=transaction)
        if aggregate is None:
            raise UnknownStream(stream_of(self._kind, id))
        return aggregate

    async def find(self, id: str, *, transaction: object = None) -> A | None:
        """`load`, with None for one that does not exist."""
        stream = stream_of(self._kind, id)
        check_name(stream)
        aggregate = await self._from_snapshot(stream, transaction) or self._kind(id=id)
        async for page in self._events.pages(stream, after=aggregate.version, transaction=transaction):
            for stored in page:
                aggregate.replay(self._event(stored))
            aggregate.stand_at(page[-1].version)
        return aggregate if aggregate.version else None

    async def save(
        self,
        aggregate: A,
        *,
        cause: Envelope[Any] | None = None,
        correlation_id: str | None = None,
        transaction: object = None,
    ) -> int:
        """Append what is pending to the stream, where nobody else has meanwhile; the answer is its version.

        What is recorded while it waits stays pending.

        Raises `VersionConflict`, after which the aggregate is to be loaded again. The rest is as in
        `EventStore.append`; where a `transaction` is rolled back, so is what the aggregate stands for.
        """
        before, pending = aggregate.version, aggregate.pending
        if not pending:
            return before
        version = await self._events.append(
            aggregate.stream,
            pending,
            before,
            cause=cause,
            correlation_id=correlation_id,
            transaction=transaction,
        )
        aggregate.stand_at(version, saved=len(pending))
        is_due = self._every is not None and version // self._every > before // self._every
        if is_due and not aggregate.pending:  # what came meanwhile is in its state, and not in the stream
            await self._keep_snapshot(aggregate, transaction)
        return version

    async def act(
        self,
        id: str,
        decide: Callable[[A], object],
        *,
        attempts: int = 1,
        create: bool = False,
        cause: Envelope[Any] | None = None,
        transaction: object = None,
    ) -> A:
        """Load, let `decide` record what happens, save; the answer is the aggregate as it is then.

        `decide` is a function or a coroutine function; what it answers does not matter.
        `attempts`: how often in all, where somebody else is faster: `decide` runs anew on what is there then.
        After the last of them, `VersionConflict`. `create`: begin one where there is none.
        """
        if attempts < 1:
            raise ConfigurationError(f"attempts={attempts!r}: 1 or more.")
        for attempt in range(1, attempts + 1):
            aggregate = await self.find(id, transaction=transaction)
            if aggregate is None:
                if not create:
                    raise UnknownStream(stream_of(self._kind, id))
                aggregate = self._kind(id=id)
            if inspect.isawaitable(decided := decide(aggregate)):
                await decided
            try:
                await self.save(aggregate, cause=cause, transaction=transaction)
            except VersionConflict:
                if attempt == attempts:
                    raise
            else:
                return aggregate
        raise AssertionError

    def _event(self, stored: StoredEvent) -> Event:
        target = self._classes.get(stored.event_type)
        if target is None:
            raise UnappliedEvent(self._kind.__qualname__, stored.event_type)
        return self._events.reading.event(stored, target)

    async def _from_snapshot(self, stream: str, transaction: object) -> A | None:
        if self._every is None:
            return None
        found = await (await self._events.readable(transaction)).snapshot(stream, self._snapshots)
        if found is None:
            return None
        try:
            return self._restored(found)
        except Exception as error:  # noqa: BLE001 -- also a validator's own; the events are the truth
            self._log.warning(
                "snapshot.unreadable", stream=stream, version=found.version, problem=describe(error)
            )
            return None

    def _restored(self, snapshot: StoredSnapshot) -> A:
        aggregate = self._kind.model_validate_json(snapshot.state)
        aggregate.stand_at(snapshot.version)
        return aggregate

    async def _keep_snapshot(self, aggregate: A, transaction: object) -> None:
        """The events are saved, whatever becomes of this: the next one takes it."""
        if (snapshot := self._snapshot(aggregate)) is None:
            return
        try:
            streams = await self._events.streams()
            keeping = streams if transaction is None else streams.join(transaction)
            await keeping.keep_snapshot(aggregate.stream, self._snapshots, snapshot)
        except Exception as error:
            if transaction is not None:  # it has failed, and its events with it
                raise
            self._not_taken(aggregate, error)

    def _snapshot(self, aggregate: A) -> StoredSnapshot | None:
        """None for a state that does not come back out of JSON as it is: its events are the truth."""
        try:
            snapshot = StoredSnapshot(aggregate.version, aggregate.model_dump_json().encode())
            restored = self._restored(snapshot)
            if restored == aggregate:
                return snapshot
            self._tell_lossy(aggregate, restored)
        except Exception as error:  # noqa: BLE001 -- of a serializer; who saved again would append twice
            self._not_taken(aggregate, error)
        return None

    def _tell_lossy(self, aggregate: A, restored: A) -> None:
        """Once: it is the same with every other of its class."""
        if self._is_lossy_told:
            return
        self._is_lossy_told = True
        fields = [
            name for name in self._kind.model_fields if getattr(aggregate, name) != getattr(restored, name)
        ]
        self._log.warning(
            "snapshot.lossy",
            aggregate=self._kind.__qualname__,
            stream=aggregate.stream,
            fields=", ".join(fields),
            next=_LOSSY,
        )

    def _not_taken(self, aggregate: A, error: Exception) -> None:
        self._log.warning("snapshot.not_taken", stream=aggregate.stream, problem=describe(error))
