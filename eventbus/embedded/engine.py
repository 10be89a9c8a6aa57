"""The parts of an open transport, and how its rooms reach the database."""

from __future__ import annotations

import asyncio
import sqlite3
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from eventbus.clock import Clock
from eventbus.embedded.database import identity, open_readers, open_writer
from eventbus.embedded.due import Alarm
from eventbus.embedded.options import EmbeddedOptions
from eventbus.embedded.queueing import Registered, give_back
from eventbus.embedded.retention import Retention
from eventbus.embedded.routing import Routes
from eventbus.embedded.sending import Parcel, next_due, promote, store
from eventbus.embedded.session import Session
from eventbus.embedded.transaction import Changes, Transaction, WriteFailed
from eventbus.embedded.url import MEMORY
from eventbus.embedded.watch import Watch
from eventbus.embedded.writer import Writer
from eventbus.errors import BrokerUnreachable
from eventbus.logs import get_logger
from eventbus.record import microseconds

Answer = TypeVar("Answer")

_PAUSE_AFTER_TROUBLE = 1.0


class Engine:
    """Made by `start` on the event loop that it belongs to; runs until `close`."""

    def __init__(
        self, url: str, path: str, options: EmbeddedOptions, clock: Clock, connection: sqlite3.Connection
    ) -> None:
        self.url = url
        self._file = None if path == MEMORY else Path(path)
        self._identity = identity(self._file)
        self.options = options
        self.clock = clock
        self.routes = Routes()
        self.session = Session(uuid.uuid4().hex, options, clock.now)
        self._retention = Retention(options)
        self.writer = Writer(connection, options)
        self.closed = False
        self._is_trimming = False
        self._alarm = Alarm(clock, self._promote_soon)
        watching, self._reading = open_readers(path, self.url)
        self.watch = Watch(watching, options.poll_interval, self._alarm.expect)
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="eventbus-reader") if self._file else None
        self._log = get_logger("eventbus.embedded").bind(broker=self.url)

    @classmethod
    async def start(cls, url: str, path: str, options: EmbeddedOptions, clock: Clock) -> Engine:
        """`path`: absolute, or ":memory:". `url`: what it is called.

        Raises `ConfigurationError` for a path that cannot work, `BrokerUnreachable` for a locked file, and
        where too many are open.
        """
        opening = asyncio.ensure_future(asyncio.to_thread(open_writer, path, url, options))
        try:
            await asyncio.wait({opening})
        except asyncio.CancelledError:
            opening.add_done_callback(_close_late)  # a locked file may take it long
            raise
        connection = opening.result()
        try:
            engine = cls(url, path, options, clock, connection)
        except BaseException:
            connection.close()
            raise
        engine.writer.start(engine._tick, engine._on_commit)
        try:
            await engine.run(engine._tick)
        except BaseException:
            await engine.close()
            raise
        return engine

    async def close(self) -> None:
        """Hand back what is held, after all that was submitted before."""
        if self.closed:
            return
        self.closed = True
        self._alarm.cancel()
        self.watch.close()
        ending = self.writer.submit(self.session.end).future
        await self.writer.close()
        with suppress(WriteFailed, TimeoutError):  # then others find out that this process is gone
            async with asyncio.timeout(_PAUSE_AFTER_TROUBLE):
                await ending
        if self._reader is not None and self._reading is not None:
            await asyncio.to_thread(self._reader.shutdown)
            self._reading.close()

    async def run(self, run: Callable[[Transaction], Answer], *, durable: bool = False) -> Answer:
        """Write. Raises `BrokerUnreachable` when SQLite does not take it."""
        try:
            return await self.writer.run(run, durable=durable)
        except WriteFailed as error:
            raise BrokerUnreachable(self.url, error.problem) from error

    async def read(self, query: Callable[[sqlite3.Connection], Answer]) -> Answer:
        """Beside the writer where that is possible: a long query holds nobody up."""
        if self._reader is None or self._reading is None:
            return await self.run(lambda transaction: query(transaction.connection))
        try:
            return await asyncio.get_running_loop().run_in_executor(self._reader, query, self._reading)
        except (sqlite3.Error, RuntimeError) as error:
            raise BrokerUnreachable(self.url, str(error)) from error

    async def register(self, queue: str) -> Registered:
        """A new consumer. Raises `TopologyError` where there is no such queue."""
        registering = self.writer.submit(lambda transaction: self.session.register(transaction, queue)).future
        try:
            return await asyncio.shield(registering)
        except WriteFailed as error:
            raise BrokerUnreachable(self.url, error.problem) from error
        except asyncio.CancelledError:
            registering.add_done_callback(self._unregister)
            raise

    async def leave(self, registered: Registered, handed_over: Sequence[int]) -> None:
        """A consumer ends: what it holds goes back to its queue, untouched where it was not `handed_over`.

        Does not raise: what fails is done with the next heartbeat.
        """

        def leave(transaction: Transaction) -> None:
            give_back(transaction, registered, kept=handed_over)
            self.session.leave(transaction, registered)

        if self.closed:
            return
        try:
            await self.run(leave)
        except BrokerUnreachable as error:
            self._log.warning("consumer.leave_failed", error=str(error))
            self.session.leave_later(registered)

    def _unregister(self, registering: asyncio.Future[Registered]) -> None:
        if not registering.cancelled() and registering.exception() is None:
            self.session.leave_later(registering.result())

    def wake(self) -> None:
        """The clock has jumped: look at once what is due now."""
        self._alarm.check()

    def now(self) -> int:
        """In microseconds, of the bus's clock."""
        return microseconds(self.clock.now())

    def store(self, transaction: Transaction, sends: Sequence[Sequence[Parcel]]) -> list[list[int]]:
        """Take what was sent; the answer has the positions of what was refused in each send."""
        return store(transaction, self.routes, sends, self.now())

    def promote(self, transaction: Transaction) -> bool:
        """Make ready what is due. Whether more is due than one transaction should move."""
        return promote(transaction, self.routes, self.now())

    def _tick(self, transaction: Transaction) -> None:
        if self._identity != (now := identity(self._file)):
            # What is written from here on would be gone with the last process that has it open.
            self.writer.give_up(f"{self._file} was removed or replaced while the bus had it open: restart it")
            self._log.error("file.gone", path=str(self._file))
            self._identity = now
        self.session.beat(transaction)
        transaction.changes.untrimmed |= self._trim(transaction)
        if (due_at := next_due(transaction.connection)) is not None:
            transaction.changes.put_off(due_at)

    def _trim(self, transaction: Transaction) -> bool:
        return self._retention.trim(transaction, self.clock.now())

    def _trim_on(self) -> None:
        """Step by step, and whatever else was submitted in between."""
        self._is_trimming = True
        self.writer.submit(self._trim).future.add_done_callback(self._trimmed)

    def _on_commit(self, changes: Changes) -> None:
        if self.closed:
            return
        if changes.due_at is not None:
            self._alarm.expect(changes.due_at)
        if changes.untrimmed and not self._is_trimming:
            self._trim_on()
        self.watch.tell(changes)

    def _promote_soon(self) -> None:
        if not self.closed:
            self.writer.submit(self.promote).future.add_done_callback(self._promoted)

    def _trimmed(self, ended: asyncio.Future[bool]) -> None:
        """What fails here is tried again with the next heartbeat."""
        self._is_trimming = False
        if self.closed or ended.cancelled():
            return
        if (error := ended.exception()) is not None:
            self._log.warning("history.trim_failed", error=str(error))
        elif ended.result():
            self._trim_on()

    def _promoted(self, ended: asyncio.Future[bool]) -> None:
        if self.closed or ended.cancelled():
            return
        if (error := ended.exception()) is not None:
            self._log.warning("promotion.failed", error=str(error))
            asyncio.get_running_loop().call_later(_PAUSE_AFTER_TROUBLE, self._promote_soon)


def _close_late(opening: asyncio.Future[sqlite3.Connection]) -> None:
    """What its thread has opened for nobody."""
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()
