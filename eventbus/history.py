"""All that was ever published, in order: what the archive keeps, and then what the log has beyond it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, Final

from eventbus.archive import Archive
from eventbus.codec import Codec
from eventbus.envelope import Envelope
from eventbus.errors import LogReplaced, Unreadable
from eventbus.topic import matches
from eventbus.transport import LogBounds, LogEntry, LogStart, Message, Transport

SLACK: Final = timedelta(minutes=1)
"""An event tells the time of its publisher's clock, and the log that of the broker's."""
_PIECE: Final = 1000


@dataclass(frozen=True, slots=True)
class Place:
    """How far somebody has read."""

    number: int = 0
    """The newest entry of the archive that was read."""
    offset: int | None = None
    """The entry of the log that comes next; None: the log has not been reached."""

    def is_behind(self, until: int) -> bool:
        """Whether all that the log has before this offset was read."""
        return self.offset is not None and self.offset >= until


@dataclass(frozen=True, slots=True)
class Piece:
    """Some of the history."""

    messages: Sequence[Message]
    place: Place
    """Where to go on after it."""
    missing: int = 0
    """So many entries that came before it had been removed by the log's retention, or with the whole log, and
    are in no archive."""


@dataclass(frozen=True, slots=True)
class Period:
    """Which part of the history: what happened from `since` on and before `until`, as the events say."""

    since: datetime | None = None
    until: datetime | None = None

    def __contains__(self, envelope: Envelope[Any]) -> bool:
        return (self.since is None or envelope.timestamp >= self.since) and (
            self.until is None or envelope.timestamp < self.until
        )


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which events: of types that match one of `patterns`, of a period, of a key or a flow if given."""

    patterns: tuple[str, ...] = ("#",)
    types: tuple[str, ...] = ("#",)
    """Patterns too: an event has to match one of these as well."""
    period: Period = Period()
    key: str | None = None
    correlation_id: str | None = None

    def has_type(self, message: Message) -> bool:
        key = message.routing_key
        return any(matches(each, key) for each in self.patterns) and any(
            matches(each, key) for each in self.types
        )

    def __contains__(self, envelope: Envelope[Any]) -> bool:
        return (
            envelope in self.period
            and self.key in (None, envelope.key)
            and self.correlation_id in (None, envelope.correlation_id)
        )

    def pick(self, messages: Sequence[Message], codec: Codec) -> tuple[list[Message], list[Unreadable]]:
        """Those that are wanted, and why others of these types cannot be read at all."""
        picked: list[Message] = []
        unreadable: list[Unreadable] = []
        for message in messages:
            if not self.has_type(message):
                continue
            try:
                envelope = codec.decode(message)
            except Unreadable as error:
                unreadable.append(error)
                continue
            if envelope in self:
                picked.append(message)
        return picked, unreadable


class History:
    """Reading disturbs nobody, and keeps no more in memory than a piece."""

    def __init__(self, transport: Transport, archive: Archive | None = None) -> None:
        """`archive`: an open one, or None where the log is all there is."""
        self._transport = transport
        self._archive = archive

    async def bounds(self) -> LogBounds:
        return await self._transport.log_bounds()

    async def size(self, bounds: LogBounds) -> int:
        """About how many entries there are, for an estimate of how long it takes."""
        end = None if self._archive is None else await self._archive.end()
        if end is None or end.next_offset is None:
            return bounds.end - bounds.first
        return end.number + max(0, bounds.end - end.next_offset)

    async def read(self, place: Place, *, until: int, since: datetime | None = None) -> AsyncGenerator[Piece]:
        """From a place to the offset `until` of the log; to be closed, as by `contextlib.aclosing`.

        `since`: what happened before may be left out, and may not be. Where the log's retention has removed
        what comes next, it is read from the archive, if that has it; an event may come twice then.
        """
        while not place.is_behind(until):
            async with aclosing(self._archived(place, since)) as pieces:
                async for piece in pieces:
                    yield piece
                    place = piece.place
            found, end = await self._there(place, until)
            if found != place.offset and not await self._has_archived(place):
                missing = (found or 0) - (place.offset or 0)
                place = Place(place.number, found)
                yield Piece((), place, missing)
            if found == place.offset:
                async with aclosing(self._logged(place, end, since)) as pieces:
                    async for piece in pieces:
                        if piece.missing and await self._has_archived(place):
                            break
                        yield piece
                        place = piece.place
                    else:
                        if place.offset != end or end == until:
                            continue
                        if not await self._has_archived(place):
                            place = Place(place.number, until)
                            yield Piece((), place, until - end)
                            continue
            place = Place(place.number)

    async def _archived(self, place: Place, since: datetime | None) -> AsyncGenerator[Piece]:
        """As far as the archive is now, and at last the place in the log where that ends."""
        if self._archive is None or place.offset is not None:
            return
        end = await self._archive.end()
        number = place.number
        while number < end.number:
            entries = await self._archive.read(number, limit=_PIECE, since=since)
            if not entries:
                break
            number = min(entries[-1].number, end.number)
            yield Piece([each.message for each in entries if each.number <= number], Place(number))
        yield Piece((), Place(end.number, end.next_offset))

    async def _there(self, place: Place, until: int) -> tuple[int | None, int]:
        """The place in the log itself, or where retention has removed what was there, the next that is; and
        how far it goes.

        `until` where it goes no further than the place: its end was lost with its broker, or it was deleted
        and declared again. Nobody knows which: what is in it is read.
        """
        if place.is_behind(until):
            return place.offset, until
        bounds = await self._transport.log_bounds()
        end = min(until, bounds.end)
        if place.offset is None:
            return None, end
        return (until if place.offset >= end else max(place.offset, min(end, bounds.first))), end

    async def _has_archived(self, place: Place) -> bool:
        """Whether the archive has come further than this place in the log."""
        if self._archive is None or place.offset is None:
            return False
        return ((await self._archive.end()).next_offset or 0) > place.offset

    async def _logged(self, place: Place, until: int, since: datetime | None) -> AsyncGenerator[Piece]:
        """A piece ends where retention has removed what comes next.

        At the end the place is `until`, unless the log does not go so far any more.
        """
        start = _start(since) if place.offset is None else place.offset
        with suppress(LogReplaced):
            async with self._transport.log(start, until=until) as batches:
                async for batch in batches:
                    for some in _unbroken(batch):
                        after = Place(place.number, some[-1].offset + 1)
                        yield Piece([each.message for each in some], after, some[0].missing)
            yield Piece((), Place(place.number, max(until, place.offset or 0)))


def _unbroken(batch: Sequence[LogEntry]) -> Iterator[Sequence[LogEntry]]:
    """In parts, each of which nothing is missing in."""
    gaps = [at for at, entry in enumerate(batch) if entry.missing and at > 0]
    for begin, end in pairwise([0, *gaps, len(batch)]):
        yield batch[begin:end]


def _start(since: datetime | None) -> LogStart:
    try:
        return "first" if since is None else since - SLACK
    except OverflowError:  # the first minute of the calendar
        return "first"


async def read_ahead(pieces: AsyncGenerator[Piece], most: int = 4) -> AsyncGenerator[Piece]:
    """Reads on while what was read is worked on; what has come meanwhile, `most` pieces, comes as one.

    To be closed, as by `contextlib.aclosing`; then `pieces` is closed too.
    """
    waiting: deque[Piece] = deque()
    changed, room = asyncio.Event(), asyncio.Event()

    async def read() -> None:
        async with aclosing(pieces):
            async for piece in pieces:
                waiting.append(piece)
                changed.set()
                while len(waiting) >= most:
                    room.clear()
                    await room.wait()

    reading = asyncio.create_task(read(), name="history")
    reading.add_done_callback(lambda _: changed.set())
    try:
        while waiting or not reading.done():
            if not waiting:
                changed.clear()
                await changed.wait()
                continue
            together = list(waiting)
            waiting.clear()
            room.set()
            yield _joined(together)
        reading.result()
    finally:
        reading.cancel()
        await asyncio.wait({reading})


def _joined(pieces: Sequence[Piece]) -> Piece:
    return Piece(
        [message for piece in pieces for message in piece.messages],
        pieces[-1].place,
        sum(piece.missing for piece in pieces),
    )
