"""Copies the history to an archive as it grows: each event once, and all that the log still has."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from eventbus.archive import Archive, ArchiveMoved, Copied
from eventbus.clock import Clock
from eventbus.codec import Codec
from eventbus.errors import LogReplaced, Unreadable, describe
from eventbus.logs import get_logger
from eventbus.portions import portions
from eventbus.store import StoreUnavailable
from eventbus.transport import LogBounds, LogEntry, LogStart, Transport

FIRST_PAUSE: Final = 0.2
LONGEST_PAUSE: Final = 5.0
"""Seconds between two tries while the archive is away; doubled from the first to the longest."""


@dataclass(frozen=True, slots=True)
class Beginning:
    """Where in the log to begin, and what that means for the archive."""

    start: LogStart
    missing: int = 0
    """Entries that the log's retention removed before they were copied."""
    is_another_log: bool = False
    """The log has been made anew since: its numbers begin again."""


def beginning(next_offset: int | None, bounds: LogBounds) -> Beginning:
    """`next_offset`: how far the archive has come."""
    if next_offset is None:
        return Beginning("first")
    if next_offset > bounds.end:
        return Beginning("first", is_another_log=True)
    return Beginning(max(next_offset, bounds.first), missing=max(0, bounds.first - next_offset))


class Archiving:
    """One process at a time copies to an archive: a second one raises `ArchiveMoved`."""

    def __init__(self, transport: Transport, archive: Archive, codec: Codec, clock: Clock) -> None:
        self._transport = transport
        self._archive = archive
        self._codec = codec
        self._clock = clock
        self._position: int | None = None
        self._log = get_logger("eventbus.archive").bind(archive=archive.url)
        self.copied = 0
        """How many events were new to the archive."""

    async def follow(self) -> None:
        """Copy what is there, and what comes, until cancelled."""
        while True:
            start, _ = await self._begin()
            with suppress(LogReplaced):
                async with self._transport.log(start) as batches:
                    self._log.info("archive.ready", broker=self._transport.url, position=self._position)
                    return await self._copy(batches)

    async def catch_up(self) -> None:
        """Copy what is there by now."""
        start, bounds = await self._begin()
        async with self._transport.log(start, until=bounds.end) as batches:
            await self._copy(batches)

    async def _begin(self) -> tuple[LogStart, LogBounds]:
        bounds = await self._transport.log_bounds()
        self._position = (await self._archive.end()).next_offset
        begin = beginning(self._position, bounds)
        if begin.is_another_log:
            self._log.warning("archive.another_log", position=self._position, end=bounds.end)
            await self._append([], bounds.first)  # or it could grow past the old place before the next look
        self._tell_gap(begin.missing)
        return begin.start, bounds

    async def _copy(self, batches: AsyncIterator[Sequence[LogEntry]]) -> None:
        """In portions: all that the log hands out at once could take longer than one transaction may."""
        async for batch in batches:
            self._tell_gap(sum(entry.missing for entry in batch))
            for some in portions(batch, lambda entry: len(entry.message.body)):
                await self._append([self._of(entry) for entry in some], some[-1].offset + 1)

    def _tell_gap(self, missing: int) -> None:
        if missing:
            self._log.error(
                "archive.gap",
                entries=missing,
                advice="the log's retention removed them before they were copied: keep the log for longer "
                "(EVENTBUS_LOG_MAX_AGE_DAYS, EVENTBUS_LOG_MAX_BYTES), or run the archive all the time",
            )

    async def _append(self, entries: Sequence[Copied], next_offset: int) -> None:
        """Again and again while the archive is away. Raises `ArchiveMoved`."""
        pause = FIRST_PAUSE
        while True:
            try:
                # Also after a failure, of which nobody knows whether it has been done all the same.
                if pause > FIRST_PAUSE and (await self._archive.end()).next_offset == next_offset:
                    break
                new = await self._archive.append(entries, expected=self._position, next_offset=next_offset)
            except StoreUnavailable as error:
                if pause == FIRST_PAUSE:
                    self._log.error("archive.unavailable", problem=describe(error))
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
            except ArchiveMoved as error:
                if pause == FIRST_PAUSE or error.actual != next_offset:
                    raise
                break  # by the try before, which was done later than its answer was waited for
            else:
                self.copied += new
                break
        if pause > FIRST_PAUSE:
            self._log.warning("archive.available")
        self._position = next_offset

    def _of(self, entry: LogEntry) -> Copied:
        """What cannot be read is kept too, under its place in the log: history is not ours to judge."""
        message = entry.message
        try:
            envelope = self._codec.decode(message)
        except Unreadable:
            happened = entry.logged_at or message.timestamp or self._clock.now()
            # Not under its id alone: that may be the id of the event that was meant, and came after it.
            identity = f"log:{entry.offset}:{message.event_id or ''}"
            return Copied(identity, message, happened, entry.offset)
        return Copied(envelope.event_id, message, envelope.timestamp, entry.offset)
