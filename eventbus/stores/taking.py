"""One relay of this process takes from an outbox at a time, whatever database that is."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

from eventbus.store import OutboxEntry


class Source(Protocol):
    """An outbox, as taking from it goes step by step."""

    async def begin(self, limit: int) -> list[OutboxEntry]:
        """What is to be sent next, held against relays elsewhere; where it is nothing, nothing is held."""
        ...

    async def end(self) -> None:
        """Other relays may have what was not sent."""
        ...

    async def mark_sent(self, entries: Sequence[OutboxEntry]) -> None: ...


class Entries:
    """What was taken."""

    def __init__(self, source: Source, entries: Sequence[OutboxEntry]) -> None:
        self._source = source
        self.entries: Sequence[OutboxEntry] = entries

    async def sent(self, entries: Sequence[OutboxEntry]) -> None:
        if entries:
            await self._source.mark_sent(entries)


class Taking:
    """A second one meanwhile gets nothing: a lock of a database would let the same session in twice."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._is_taking = False

    @asynccontextmanager
    async def take(self, limit: int) -> AsyncGenerator[Entries]:
        if self._is_taking:
            yield Entries(self._source, [])
            return
        self._is_taking = True
        try:
            entries = await self._source.begin(limit)
            try:
                yield Entries(self._source, entries)
            finally:
                if entries:
                    await self._source.end()
        finally:
            self._is_taking = False
