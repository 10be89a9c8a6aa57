"""The history: every event that passed, read in order from a stream that reading does not empty."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final, cast

from eventbus.clock import Clock
from eventbus.errors import BrokerUnreachable, LogReplaced, PublishRefused, SendFailed, TopologyError
from eventbus.logs import get_logger
from eventbus.rabbitmq.arrival import Arrival, BadProperties, Properties
from eventbus.rabbitmq.ask import Lost, Refused, ask
from eventbus.rabbitmq.messages import bare_message_of, message_of
from eventbus.rabbitmq.options import RabbitMQOptions
from eventbus.rabbitmq.publisher import ConfirmedPublisher, parcel
from eventbus.rabbitmq.supervisor import Link, LinkState, Pauses
from eventbus.rabbitmq.topology import Names
from eventbus.rabbitmq.wire import Wire
from eventbus.transport import LogBounds, LogEntry, LogStart, Message

_OFFSET: Final = "x-stream-offset"
_OFFSET_FIELD: Final = b"\x0fx-stream-offsetl"
"""As it begins in a table of headers; 8 bytes follow."""
_UNREAD: Final = Properties()
LOG_LAG: Final = 1.0
"""Seconds after which what one node routed before another bound a queue lies in the stream; see the port."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""AMQP knows no time before it."""
_QUIET: Final = 1.0
"""Seconds without an entry, after which a broker that has found a time counts as having found nothing."""


@dataclass(frozen=True, slots=True)
class Log:
    """The history of a namespace, as one link reaches it."""

    link: Link
    names: Names
    options: RabbitMQOptions
    clock: Clock
    marks: ConfirmedPublisher

    @asynccontextmanager
    async def read(
        self, start: LogStart, until: int | None
    ) -> AsyncGenerator[AsyncIterator[Sequence[LogEntry]]]:
        """From `start` on, in batches; goes on where it was after any loss.

        RabbitMQ finds a time to the second, and begins with all that was written together with the first
        entry after it: some entries before a time may come, none after it is left out. Raises
        `BrokerUnreachable` or `TopologyError` when reading cannot begin, `LogReplaced` when it cannot go on.
        """
        if isinstance(start, datetime) and start < _EPOCH:
            start = "first"
        # Were it lost before the first entry, what came meanwhile must not be skipped.
        resume = self.clock.now() if start == "next" else start
        reader = await self._first(start, until)
        try:
            async with aclosing(self._entries(reader, resume, until)) as entries:
                yield entries
        finally:
            await reader.close()

    async def bounds(self) -> LogBounds:
        """Raises `SendFailed` where no mark can be put there, else as `read`."""
        within = self.options.answer_timeout
        try:
            async with asyncio.timeout(within):
                end = await self._end()
            async with asyncio.timeout(within), self._reading("first") as oldest:
                return LogBounds(first=await oldest.offset_of(None), end=end)
        except (TimeoutError, Lost) as loss:
            problem = (
                f"the bounds of {self.names.log} were not found: {str(loss) or f'no answer in {within:g} s'}"
            )
            raise BrokerUnreachable(self.link.url, problem) from loss

    async def _end(self) -> int:
        """Behind a mark that is put there, for no broker tells a client where a stream ends."""
        mark = Message(b"", self.names.log, event_id=f"mark_{uuid.uuid4().hex}", queue=self.names.log)
        async with self._reading("next") as following:
            await self.marks.send([parcel(mark, self.names.route(mark))], timeout=self.options.answer_timeout)
            return await following.offset_of(mark.event_id) + 1

    @asynccontextmanager
    async def _reading(self, start: LogStart) -> AsyncGenerator[_Reader]:
        reader = await self._first(start, None)
        try:
            yield reader
        finally:
            await reader.close()

    async def _entries(
        self, reader: _Reader, resume: LogStart, until: int | None
    ) -> AsyncGenerator[Sequence[LogEntry]]:
        pauses = Pauses(self.options.first_pause, self.options.longest_pause)
        while not _is_through(resume, until):
            try:
                async for batch in reader.batches():
                    if batch:
                        yield await self._really_missing(batch)
                    resume = reader.next_offset
                    pauses.reset()
                    if _is_through(resume, until):
                        return
            finally:
                await reader.close()
            if self.link.state is LinkState.CLOSED:
                return
            reader = await self._again(resume, until, pauses)

    async def _really_missing(self, batch: Sequence[LogEntry]) -> Sequence[LogEntry]:
        """A leap in the offsets is what retention has removed, or a note of the broker's own among them."""
        if not any(entry.missing for entry in batch):
            return batch
        try:
            async with asyncio.timeout(self.options.answer_timeout), self._reading("first") as oldest:
                first = await oldest.offset_of(None)
        except (TimeoutError, Lost, BrokerUnreachable, TopologyError):
            return batch  # rather told than passed over
        return [
            replace(entry, missing=0) if entry.missing and first <= entry.offset - entry.missing else entry
            for entry in batch
        ]

    async def _first(self, start: LogStart, until: int | None) -> _Reader:
        try:
            return await self._open(start, until, within=self.options.connect_timeout)
        except Refused as refusal:
            if refusal.is_starting:
                raise BrokerUnreachable(self.link.url, str(refusal)) from refusal
            raise refusal.concerning(f"log {self.names.log}") from refusal
        except Lost as loss:
            raise BrokerUnreachable(self.link.url, str(loss)) from loss

    async def _again(self, start: LogStart, until: int | None, pauses: Pauses) -> _Reader:
        known = ""
        while True:
            await asyncio.sleep(pauses.next())
            try:
                reader = await self._open(start, until, within=self.options.answer_timeout)
                try:
                    await self._check_that_it_goes_on(start, until)
                except BaseException:
                    await reader.close()
                    raise
            except (Lost, Refused, SendFailed, TopologyError) as error:
                if str(error) != known:
                    known = str(error)
                    get_logger("eventbus.rabbitmq").warning("log.lost", queue=self.names.log, problem=known)
            else:
                return reader

    async def _check_that_it_goes_on(self, place: LogStart, until: int | None) -> None:
        """RabbitMQ puts who asks for a place beyond the end at the end: it would wait there for very long. So
        would who reads up to a place that is not there any more.

        Raises `LogReplaced`. Asked when the reader is there: it hears what becomes of the log from then on.
        """
        if not isinstance(place, int):
            return
        try:
            async with asyncio.timeout(self.options.answer_timeout):
                end = await self._end()
        except PublishRefused:  # who may only read cannot know
            return
        except TimeoutError as error:
            raise Lost(f"its end was not found in {self.options.answer_timeout:g} s") from error
        if end < max(place, until or 0):
            raise LogReplaced(self.names.log, max(place, until or 0), end)

    async def _open(self, start: LogStart, until: int | None, *, within: float) -> _Reader:
        reader = await _Reader.open(self, start, until, within=within)
        try:
            if until is None or not isinstance(start, datetime) or await reader.has_begun(within=_QUIET):
                return reader
        except asyncio.CancelledError:
            await reader.close()
            raise
        # There is something before `until`, and nothing after that time by the broker's clock, which may be
        # behind ours: rather too much than too little.
        await reader.close()
        return await _Reader.open(self, "first", until, within=within)


def _is_through(place: LogStart, until: int | None) -> bool:
    return until is not None and isinstance(place, int) and place >= until


class _Reader:
    """Reading over one channel, until that is lost. The marks of `Log.bounds` are no entries."""

    def __init__(self, wire: Wire, log: Log, first_offset: int | None, until: int | None) -> None:
        """`first_offset`: None where only the broker knows it."""
        self._wire = wire
        self._names = log.names
        self._first_offset = first_offset or 0
        self._is_expected = first_offset is not None
        """Whether the offset that comes next is known."""
        self._leap = 0
        """Offsets that did not come, since the last entry."""
        self._until = until
        self._arrived: list[LogEntry] = []
        self._marks: dict[str, int] = {}
        self._oldest: int | None = None
        self._last_tag = 0
        self._last_offset = self._first_offset - 1
        self._wake = asyncio.Event()
        self.next_offset = self._first_offset
        """The one after all that has been given out."""
        wire.listen(on_arrival=self._take)
        wire.lost.add_done_callback(lambda _: self._wake.set())

    @classmethod
    async def open(cls, log: Log, start: LogStart, until: int | None, *, within: float) -> _Reader:
        wire = await log.link.channel(within=within)
        offset: Any = max(0, start) if isinstance(start, int) else start
        reader = cls(wire, log, offset if isinstance(offset, int) else None, until)
        prefetch = log.options.log_prefetch
        try:
            await wire.consume(log.names.log, prefetch=prefetch, within=within, arguments={_OFFSET: offset})
            # RabbitMQ agrees to consume before it has found the place; what is asked next is answered after.
            await ask(wire.channel.basic_qos(prefetch_count=prefetch), within=within)
        except BaseException:
            await wire.close()
            raise
        return reader

    async def has_begun(self, *, within: float) -> bool:
        """Whether anything came, or the channel is lost; waits for that so many seconds."""
        try:
            async with asyncio.timeout(within):
                await self._wake.wait()
        except TimeoutError:
            return False
        return True

    async def batches(self) -> AsyncIterator[Sequence[LogEntry]]:
        """Ends when the channel is lost. A batch is acked when the next is asked for: that makes room.

        Empty where all that came was left out.
        """
        while True:
            await self._wake.wait()
            self._wake.clear()
            batch, self._arrived = self._arrived, []
            tag = self._last_tag
            if self._last_offset >= self.next_offset:
                self.next_offset = self._last_offset + 1
                yield batch
            if not self._wire.is_open:
                return
            await self._wire.settle(self._wire.ack(tag, multiple=True))

    async def offset_of(self, mark: str | None) -> int:
        """Of the mark; None: of the first that came, mark or not. Raises `Lost` with the channel."""
        async for _ in self.batches():
            offset = self._oldest if mark is None else self._marks.get(mark)
            if offset is not None:
                return offset
        raise Lost("the channel was lost")

    async def close(self) -> None:
        await self._wire.close()

    def _take(self, arrival: Arrival) -> None:
        self._last_tag = arrival.tag
        self._wake.set()
        try:
            properties, read = arrival.properties, message_of
            offset = _offset(properties)
        except BadProperties:
            properties, read = _UNREAD, bare_message_of
            offset = _offset_among(arrival.header, self._last_offset + 1)
        self._leap += max(0, offset - self._last_offset - 1) if self._is_expected else 0
        self._is_expected = True
        self._last_offset = max(self._last_offset, offset)
        self._oldest = offset if self._oldest is None else self._oldest
        if arrival.exchange == self._names.redeliver:
            self._marks[properties.message_id or ""] = offset
        elif offset >= self._first_offset and (self._until is None or offset < self._until):
            self._arrived.append(LogEntry(offset, read(self._names, arrival), None, self._leap))
            self._leap = 0


def _offset_among(header: bytes, expected: int) -> int:
    """Of an entry whose other headers cannot be read; `expected` where that stands nowhere."""
    _, found, behind = header.partition(_OFFSET_FIELD)
    return int.from_bytes(behind[:8]) if found else expected


def _offset(properties: Properties) -> int:
    headers = cast("dict[str, object]", properties.headers or {})
    offset = headers.get(_OFFSET)
    return offset if isinstance(offset, int) else 0
