"""The `Transport` on one SQLite file: several processes of one machine share it, and it needs no server."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import datetime
from typing import Final, TypeVar

from eventbus.broker_report import BrokerReport
from eventbus.clock import Clock, SystemClock
from eventbus.embedded import dead_letters, log, queueing, routing, stats
from eventbus.embedded.consumer import EmbeddedConsumption
from eventbus.embedded.engine import Engine
from eventbus.embedded.options import EmbeddedOptions
from eventbus.embedded.publishing import Publishing
from eventbus.embedded.sending import next_due
from eventbus.embedded.transaction import Transaction
from eventbus.embedded.url import place_of, url_of
from eventbus.errors import BrokerUnreachable, SendFate
from eventbus.record import moment
from eventbus.transport import (
    Consumption,
    DeadLetterEntry,
    Drift,
    LogBounds,
    LogEntry,
    LogStart,
    Message,
    QueueStats,
    Topology,
)

Answer = TypeVar("Answer")

_DEFAULTS: Final = EmbeddedOptions()


class EmbeddedTransport:
    """`path`: a file, relative to the working directory or absolute, or ":memory:" for this process alone.

    Beside the port: `wake`, `idle`, `history` and `next_due`, for tests whose clock is not the machine's.
    """

    def __init__(self, path: str, options: EmbeddedOptions = _DEFAULTS, clock: Clock | None = None) -> None:
        self._url = url_of(path)
        self._path = place_of(path)
        self._options = options
        self._clock = clock or SystemClock()
        self._engine: Engine | None = None
        self._opening = asyncio.Lock()

    @property
    def url(self) -> str:
        return self._url

    @property
    def handling_limit(self) -> float | None:
        """None: a delivery is its consumer's until it is settled, or the process dies."""
        return None

    @property
    def log_lag(self) -> float:
        """No lag at all: an event comes to its queues and to the log in one transaction."""
        return 0.0

    def only_visit(self, *, create: bool) -> None:
        """To be said before `open`: it trims no history; `create` as in `EmbeddedOptions`."""
        self._options = replace(self._options, log_max_age=None, log_max_bytes=None, create=create)

    async def open(self) -> None:
        """Raises `ConfigurationError` for a path that cannot work, `BrokerUnreachable` for a locked file."""
        async with self._opening:
            if self._engine is None:
                self._engine = await Engine.start(self._url, self._path, self._options, self._clock)

    async def close(self) -> None:
        """What consumers here still hold goes back to its queues."""
        async with self._opening:
            if self._engine is not None:
                await self._engine.close()
            self._engine = None

    async def apply(self, topology: Topology) -> None:
        await self._open_engine.run(lambda transaction: routing.apply(transaction, topology), durable=True)

    async def prune(self, topology: Topology) -> None:
        await self._open_engine.run(lambda transaction: routing.prune(transaction, topology), durable=True)

    async def diff(self, topology: Topology) -> Sequence[Drift]:
        return await self._open_engine.read(lambda connection: routing.diff(connection, topology))

    async def send(
        self, messages: Sequence[Message], *, timeout: float, patience: float | None = None
    ) -> None:
        """Some hundreds share a transaction. What is for a queue that does not exist is refused."""
        if self._engine is None:
            raise self._not_open([SendFate.NOT_SENT] * len(messages))
        await Publishing(self._engine, messages).run(timeout, timeout if patience is None else patience)

    def consume(self, queue: str, *, prefetch: int) -> AbstractAsyncContextManager[Consumption]:
        """`<queue>.dead` has the dead letters. Entering raises `TopologyError` for an unknown queue."""
        return EmbeddedConsumption(self._open_engine, queue, prefetch)

    def log(
        self, start: LogStart, *, until: int | None = None
    ) -> AbstractAsyncContextManager[AsyncIterator[Sequence[LogEntry]]]:
        return log.follow(self._open_engine, start, until)

    async def log_bounds(self) -> LogBounds:
        return await log.bounds(self._open_engine)

    async def dead_letters(self, queue: str, *, limit: int) -> Sequence[DeadLetterEntry]:
        return [entry async for batch in self.browse(queue, limit=limit) for entry in batch]

    def browse(self, queue: str, *, limit: int) -> AsyncGenerator[Sequence[DeadLetterEntry]]:
        return dead_letters.browse(self._open_engine, queue, limit=limit)

    async def queues(self) -> Sequence[str]:
        return await self._open_engine.read(stats.subscription_queues)

    async def patterns(self, queue: str) -> Sequence[str]:
        return await self._open_engine.read(lambda connection: stats.patterns_of(connection, queue))

    async def stats(self, queues: Sequence[str]) -> Sequence[QueueStats]:
        engine = self._open_engine
        return await engine.read(lambda connection: stats.of_queues(connection, queues, engine.now()))

    async def inspect(self) -> BrokerReport:
        """No alarms and no connections to tell of; and its clock is ours."""
        return await self._open_engine.read(stats.report)

    def wake(self) -> None:
        """To be called when the clock was set forward: what is due by now becomes ready."""
        self._open_engine.wake()

    async def idle(self) -> None:
        """Return when the queues consumed here have nothing ready, in flight, or due by now."""
        engine = self._open_engine
        with engine.watch.bell() as bell:
            while not engine.closed:
                bell.silence()
                queues = engine.watch.queues()

                def is_busy(transaction: Transaction, queues: frozenset[int] = queues) -> bool:
                    more = engine.promote(transaction)
                    return more or queueing.anything_left(transaction.connection, queues)

                if not await engine.run(is_busy):
                    return
                await bell.wait()

    async def history(self, offset: int) -> Sequence[LogEntry]:
        """What is logged so far, from `offset` on; unlike `log` it does not wait for more."""
        return await self._open_engine.read(lambda connection: log.so_far(connection, offset))

    async def write(self, work: Callable[[sqlite3.Connection], Answer], *, durable: bool) -> Answer:
        """For a store in the same file: `work` in a transaction of the one writer, which others may share.

        It may run twice, the first run being rolled back. Raises `BrokerUnreachable`.
        """
        return await self._open_engine.run(lambda transaction: work(transaction.connection), durable=durable)

    async def next_due(self) -> datetime | None:
        """When the earliest delayed message or retry is due, in whichever queue; None when there is none."""
        due_at = await self._open_engine.run(lambda transaction: next_due(transaction.connection))
        return None if due_at is None else moment(due_at)

    @property
    def _open_engine(self) -> Engine:
        if self._engine is None:
            raise self._not_open()
        return self._engine

    def _not_open(self, fates: Sequence[SendFate] = ()) -> BrokerUnreachable:
        return BrokerUnreachable(self.url, "it is not open", fates)
