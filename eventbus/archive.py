"""The port to history that outlives the broker's own: a copy of the log in a database.

Every archive passes the one suite in `tests/conformance/archive`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from eventbus.errors import EventBusError
from eventbus.transport import Message


@dataclass(frozen=True, slots=True)
class Copied:
    """One entry of the log, to be kept."""

    identity: str
    """What it is kept once by: its event_id, or where it has none, its place in the log."""
    message: Message
    occurred_at: datetime
    """When the event happened, as it says itself; else when it was copied."""
    offset: int
    """Where it lay in the log."""


@dataclass(frozen=True, slots=True)
class ArchivedEntry:
    """One event of the archive."""

    number: int
    """1, 2, 3, … in the order of the log; there may be gaps."""
    message: Message
    occurred_at: datetime


@dataclass(frozen=True, slots=True)
class ArchiveEnd:
    """How far an archive has come."""

    number: int
    """Of its newest entry; 0 where there is none."""
    next_offset: int | None
    """The place in the log from which on it has nothing; None before the first copy."""


class Archive(Protocol):
    @property
    def url(self) -> str:
        """Where it is, without secrets; fit for logs."""
        ...

    async def open(self) -> None:
        """Create or migrate what is ours, under a lock.

        Raises `StoreUnavailable`, or `ConfigurationError` for one that cannot work.
        """
        ...

    async def close(self) -> None: ...

    async def end(self) -> ArchiveEnd: ...

    async def append(self, entries: Sequence[Copied], *, expected: int | None, next_offset: int) -> int:
        """Keep those that are not there yet, and the new place in the log, in one transaction.

        How many were new. `expected`: the `next_offset` so far; raises `ArchiveMoved` where it is another.
        Where it raises `StoreUnavailable` it may have been done all the same: `end` tells.
        """
        ...

    async def read(
        self, after: int, *, limit: int, since: datetime | None = None, until: datetime | None = None
    ) -> Sequence[ArchivedEntry]:
        """The entries of the next numbers, in their order; of those that occurred from `since` on, before
        `until`. Fewer than `limit` only at the end.
        """
        ...


class ArchiveMoved(EventBusError):
    """Another process copies the same log to the same archive."""

    def __init__(self, url: str, expected: int | None, actual: int | None) -> None:
        self.url = url
        self.expected = expected
        self.actual = actual
        super().__init__(
            f"the archive at {url} has come to offset {actual} of the log, and not to {expected}: another "
            "process copies to it. Nothing was written; one is enough."
        )
