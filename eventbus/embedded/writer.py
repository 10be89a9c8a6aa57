"""The one thread of a process that writes, and its heartbeat."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from queue import Empty, SimpleQueue
from typing import Any, Final, TypeVar

from eventbus.embedded.options import EmbeddedOptions
from eventbus.embedded.transaction import (
    Changes,
    Ended,
    GroupCommit,
    Operation,
    Together,
    Transaction,
    WriteFailed,
    shared,
)

Answer = TypeVar("Answer")
Load = TypeVar("Load")


class _LoopClosed(Exception):
    """The event loop ended before the transport was closed: nobody is left to tell."""


_MOST_ROWS: Final = 1000
"""In one transaction, so that other processes get their turn."""


class Writer:
    """Owns the writing connection, from `start` to `close`. All but its thread belongs to one event loop."""

    def __init__(self, connection: sqlite3.Connection, options: EmbeddedOptions) -> None:
        self._connection = connection
        self._interval = options.heartbeat
        self._group_commit = GroupCommit(
            connection, busy_timeout=options.busy_timeout, synchronous=options.synchronous
        )
        self._loop = asyncio.get_running_loop()
        self._submitted: SimpleQueue[Operation[Any] | None] = SimpleQueue()
        self._closed = False
        self._refusal: str | None = None
        self._nobody: asyncio.Future[None] = self._loop.create_future()
        """What nobody waits for ends here."""
        self._nobody.cancel()

    def start(self, tick: Callable[[Transaction], None], on_commit: Callable[[Changes], None]) -> None:
        """`tick` runs on the writer's thread every heartbeat, also while a handler holds up the event loop;
        `on_commit` on the event loop, after each transaction that changed something."""
        self._tick = tick
        self._on_commit = on_commit
        self._next_tick = time.monotonic() + self._interval
        self._thread = threading.Thread(target=self._work, name="eventbus-writer", daemon=True)
        self._thread.start()

    def submit(
        self, run: Callable[[Transaction], Answer], *, durable: bool = False, rows: int = 1
    ) -> Operation[Answer]:
        """In the order of the calls. `durable`: it is on the disk, not only with the operating system, when
        it answers; what only moves deliveries need not be, they are handed over again after a power failure.
        """
        return self._put(Operation(run, self._loop.create_future(), durable=durable, rows=rows))

    def submit_shared(self, together: Together[Load, Answer], load: Load, *, rows: int) -> Operation[Answer]:
        """What waits side by side is done at once: see `Operation`. Durable."""
        return self._put(shared(together, load, self._loop.create_future(), rows=rows))

    async def run(self, run: Callable[[Transaction], Answer], *, durable: bool = False) -> Answer:
        """What `run` answers. Raises `WriteFailed`, or what `run` raised."""
        return await self.submit(run, durable=durable).future

    def withdraw(self, operation: Operation[Any]) -> bool:
        """Whether it certainly has not run, and will not."""
        return self._group_commit.withdraw(operation)

    def give_up(self, why: str) -> None:
        """Refuse what is submitted from now on. Called from any thread."""
        self._refusal = why

    async def close(self) -> None:
        """Return when all that was submitted before has ended, and the connection is closed."""
        if not self._closed:
            self._closed = True
            self.give_up("the bus is closed")
            self._group_commit.hurry()
            self._submitted.put(None)
        await asyncio.to_thread(self._thread.join)

    def _put(self, operation: Operation[Answer]) -> Operation[Answer]:
        if self._refusal is not None:
            operation.future.set_exception(WriteFailed(self._refusal))
        else:
            self._submitted.put(operation)
        return operation

    def _announce(self, ended: Sequence[Ended], changes: Changes) -> None:
        for end in ended:
            future = end.operation.future
            if future.done():
                continue
            if end.error is None:
                future.set_result(end.answer)
            else:
                future.set_exception(end.error)
        if changes:
            self._on_commit(changes)

    def _work(self) -> None:
        try:
            with closing(self._connection), suppress(_LoopClosed):
                while group := self._collect():
                    self._tell(*self._group_commit.execute(group))
        finally:
            self.give_up(self._refusal or "its writer has ended")

    def _tell(self, ended: Sequence[Ended], changes: Changes) -> None:
        try:
            self._loop.call_soon_threadsafe(self._announce, ended, changes)
        except RuntimeError as error:
            raise _LoopClosed from error

    def _collect(self) -> list[Operation[Any]]:
        """What waits by now, at least one; nothing when the writer is to end."""
        operation = self._next()
        group: list[Operation[Any]] = []
        rows = 0
        try:
            while operation is not None:
                group.append(operation)
                rows += operation.rows
                if rows >= _MOST_ROWS:
                    return group
                operation = self._submitted.get_nowait()
        except Empty:
            return group
        if group:
            self._submitted.put(None)  # to be found again when this group has ended
        return group

    def _next(self) -> Operation[Any] | None:
        while (patience := self._next_tick - time.monotonic()) > 0:
            try:
                return self._submitted.get(timeout=patience)
            except Empty:
                continue
        if (
            self._closed
        ):  # what is left, and no heartbeat in between: where each waits for a lock it never ends
            return self._submitted.get()
        self._next_tick = time.monotonic() + self._interval
        return Operation(self._tick, self._nobody)
