"""The history: every event that passed, read in order from a stream that reading does not empty."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any, Final, cast

from eventbus.clock import Clock
from eventbus.errors import BrokerUnreachable, TopologyError
from eventbus.logs import get_logger
from eventbus.rabbitmq.arrival import Arrival, Properties
from eventbus.rabbitmq.ask import Lost, Refused, ask
from eventbus.rabbitmq.messages import message_of
from eventbus.rabbitmq.options import RabbitMQOptions
from eventbus.rabbitmq.supervisor import Link, LinkState, Pauses
from eventbus.rabbitmq.topology import Names
from eventbus.rabbitmq.wire import Wire
from eventbus.transport import LogEntry, LogStart

_OFFSET: Final = "x-stream-offset"


@asynccontextmanager
async def read_log(
    link: Link, names: Names, options: RabbitMQOptions, clock: Clock, start: LogStart
) -> AsyncGenerator[AsyncIterator[Sequence[LogEntry]]]:
    """From `start` on, in batches; waits for more at the end, and goes on where it was after any loss.

    RabbitMQ finds a time to the second, and begins with all that was written together with the first entry
    after it: some entries before a time may come, none after it is left out. Raises `BrokerUnreachable` or
    `TopologyError` when reading cannot begin.
    """
    # Were it lost before the first entry, what came meanwhile must not be skipped.
    resume = clock.now() if start == "next" else start
    reader = await _first(link, names, options, start)
    try:
        async with aclosing(_entries(reader, link, names, options, resume)) as entries:
            yield entries
    finally:
        await reader.close()


async def _entries(
    reader: _Reader, link: Link, names: Names, options: RabbitMQOptions, resume: LogStart
) -> AsyncGenerator[Sequence[LogEntry]]:
    pauses = Pauses(options.first_pause, options.longest_pause)
    while True:
        try:
            async for batch in reader.batches():
                yield batch
                resume = batch[-1].offset + 1
                pauses.reset()
        finally:
            await reader.close()
        if link.state is LinkState.CLOSED:
            return
        reader = await _again(link, names, options, resume, pauses)


async def _first(link: Link, names: Names, options: RabbitMQOptions, start: LogStart) -> _Reader:
    try:
        return await _Reader.open(link, names, options, start, within=options.connect_timeout)
    except Refused as refusal:
        raise TopologyError(f"log {names.log}", str(refusal)) from refusal
    except Lost as loss:
        raise BrokerUnreachable(link.url, str(loss)) from loss


async def _again(
    link: Link, names: Names, options: RabbitMQOptions, start: LogStart, pauses: Pauses
) -> _Reader:
    known = ""
    while True:
        await asyncio.sleep(pauses.next())
        try:
            return await _Reader.open(link, names, options, start, within=options.answer_timeout)
        except (Lost, Refused) as error:
            if str(error) != known:
                known = str(error)
                get_logger("eventbus.rabbitmq").warning("log.lost", queue=names.log, problem=known)


class _Reader:
    """Reading over one channel, until that is lost."""

    def __init__(self, wire: Wire, names: Names, start: LogStart) -> None:
        self._wire = wire
        self._names = names
        self._first_offset = start if isinstance(start, int) else 0
        self._arrived: list[LogEntry] = []
        self._last_tag = 0
        self._wake = asyncio.Event()
        wire.listen(on_arrival=self._take)
        wire.lost.add_done_callback(lambda _: self._wake.set())

    @classmethod
    async def open(
        cls, link: Link, names: Names, options: RabbitMQOptions, start: LogStart, *, within: float
    ) -> _Reader:
        wire = await link.channel(within=within)
        reader = cls(wire, names, start)
        try:
            offset: Any = max(0, start) if isinstance(start, int) else start
            arguments = {_OFFSET: offset}
            await wire.consume(names.log, prefetch=options.log_prefetch, within=within, arguments=arguments)
            # RabbitMQ agrees to consume before it has found the place; what is asked next is answered after.
            await ask(wire.channel.basic_qos(prefetch_count=options.log_prefetch), within=within)
        except BaseException:
            await wire.close()
            raise
        return reader

    async def batches(self) -> AsyncIterator[Sequence[LogEntry]]:
        """Ends when the channel is lost. A batch is acked when the next is asked for: that makes room."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            batch, self._arrived = self._arrived, []
            tag = self._last_tag
            if batch:
                yield batch
            if not self._wire.is_open:
                return
            await self._wire.settle(self._wire.ack(tag, multiple=True))

    async def close(self) -> None:
        await self._wire.close()

    def _take(self, arrival: Arrival) -> None:
        self._last_tag = arrival.tag
        self._wake.set()
        offset = _offset(arrival.properties)
        if offset >= self._first_offset:
            self._arrived.append(LogEntry(offset, message_of(self._names, arrival), None))


def _offset(properties: Properties) -> int:
    headers = cast("dict[str, object]", properties.headers or {})
    offset = headers.get(_OFFSET)
    return offset if isinstance(offset, int) else 0
