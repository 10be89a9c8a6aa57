"""The port to streams of events: what happened to one thing, in order, as the truth about it.

A store that has an outbox has streams too. Every such store passes the one suite in
`tests/conformance/store`.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from eventbus.transport import Message


@dataclass(frozen=True, slots=True)
class Appending:
    """Events for the end of one stream; what they are has been checked."""

    stream: str
    expected: int | None
    """The version that the stream must have, 0 where it must not exist; None: whichever it has."""
    messages: Sequence[Message]
    """At least one; they go to the outbox as they are."""
    keys: Sequence[str | None]
    versions: Sequence[str]
    """Of the events' classes."""


@dataclass(frozen=True, slots=True)
class Appended:
    version: int
    """Of the stream now: its first event is 1, and there is no gap."""


@dataclass(frozen=True, slots=True)
class Conflict:
    """Somebody else was first; nothing was written."""

    actual: int
    """The version that the stream has, 0 where it does not exist."""


AppendOutcome: TypeAlias = Appended | Conflict


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """One row."""

    stream: str
    version: int
    position: int | None
    """In the order of all streams; None while nobody has read that order so far."""
    event_type: str
    event_version: str
    body: bytes
    """The envelope, as it was published."""


@dataclass(frozen=True, slots=True)
class StoredSnapshot:
    """What became of a stream's events up to `version`."""

    version: int
    state: bytes


class ReadableStreams(Protocol):
    """Everything raises `StoreUnavailable`, in bounded time."""

    async def version(self, stream: str) -> int:
        """0 where it does not exist."""
        ...

    async def read(self, stream: str, *, after: int, limit: int) -> Sequence[StoredEvent]:
        """In the order of its versions, from the one behind `after`."""
        ...

    async def snapshot(self, stream: str, kind: str) -> StoredSnapshot | None: ...


class JoinedStreams(ReadableStreams, Protocol):
    """In somebody's transaction: sees what that has written, and commits and vanishes with it."""

    async def append(self, appending: Appending) -> AppendOutcome: ...

    async def keep_snapshot(self, stream: str, kind: str, snapshot: StoredSnapshot) -> None: ...

    async def advance(self, projection: str, *, expected: int, to: int) -> bool:
        """False where the projection is not at `expected` any more: then nothing here may become true."""
        ...


class Following(Protocol):
    """Somebody who waits for what is new in the order of all streams."""

    def look(self) -> None:
        """He reads now: what is appended from here on is told of."""
        ...

    async def changed(self, *, within: float) -> None:
        """Return when there may be something new, or after so many seconds. Raises `StoreUnavailable`."""
        ...


class Streams(ReadableStreams, Protocol):
    """Sees what has been committed; writes in transactions of its own."""

    async def append(self, appending: Appending) -> AppendOutcome:
        """In a transaction of its own, with the outbox. On the disk when it returns."""
        ...

    async def read_all(self, *, after: int, limit: int) -> Sequence[StoredEvent]:
        """In the order of all streams, from the position behind `after`; each has its position.

        Whoever has been given a position has been given all that will ever be before it: an event whose
        transaction commits later gets a higher one. A stream's events are in the order of their versions.
        """
        ...

    async def keep_snapshot(self, stream: str, kind: str, snapshot: StoredSnapshot) -> None:
        """Instead of an older one of the stream, or one of another kind."""
        ...

    async def position(self, projection: str) -> int:
        """Up to where it has applied the order of all streams; 0 for one that nobody has run yet."""
        ...

    def follow(self) -> AbstractAsyncContextManager[Following]: ...

    def join(self, transaction: object) -> JoinedStreams:
        """For what `Store.join` takes. Raises `WrongTransaction` before anything is written."""
        ...
