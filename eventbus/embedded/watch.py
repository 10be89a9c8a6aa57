"""Waking whoever waits: at once for what this process has written, within a poll for what others have."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Final

from eventbus.embedded.queueing import with_something_ready
from eventbus.embedded.sending import next_due
from eventbus.embedded.transaction import Changes

_FASTER: Final = 4
"""As often as that when something has just come."""
_SLOWER: Final = 1.2
"""From one poll to the next, where nothing comes."""


class Bell:
    """What one waiter sleeps on: silence it, look whether there is something to do, and only then wait."""

    def __init__(self, watch: Watch, queue: int | None) -> None:
        self._watch = watch
        self._event = asyncio.Event()
        self.queue = queue
        """It rings when this queue gets something to hand over; None: when anything changes."""
        self.rings_for_all = queue is None

    def ring(self) -> None:
        self._event.set()

    def silence(self) -> None:
        self._event.clear()

    async def wait(self) -> None:
        """Return when it has rung since it was silenced."""
        if self._event.is_set():
            return
        with self._watch.watching(self):
            await self._event.wait()


class Watch:
    """The bells of one process.

    `probe` is a reading connection of a file; a database in memory has no other writers, and none. `on_due`
    hears of the earliest due time whenever another process may have changed it.
    """

    def __init__(
        self, probe: sqlite3.Connection | None, interval: float, on_due: Callable[[int], None]
    ) -> None:
        self._probe = probe
        self._longest_pause = interval
        self._pause = interval
        self._on_due = on_due
        self._bells: set[Bell] = set()
        self._waiting: set[Bell] = set()
        self._seen: int | None = None
        self._timer: asyncio.TimerHandle | None = None

    @contextmanager
    def bell(self, queue: int | None = None) -> Generator[Bell, None, None]:
        """Another one, for the length of the block."""
        bell = Bell(self, queue)
        self._bells.add(bell)
        try:
            yield bell
        finally:
            self._bells.discard(bell)

    @contextmanager
    def watching(self, bell: Bell) -> Generator[None, None, None]:
        """Look for what other processes write, as long as anybody waits."""
        self._waiting.add(bell)
        if self._probe is not None and self._timer is None:
            self._poll(self._probe)
        try:
            yield
        finally:
            self._waiting.discard(bell)
            if not self._waiting:
                self._stop_polling()

    def queues(self) -> frozenset[int]:
        """Those that somebody here takes from."""
        return frozenset(bell.queue for bell in self._bells if bell.queue is not None)

    def tell(self, changes: Changes) -> None:
        """This process has changed something."""
        for bell in self._bells:
            if bell.rings_for_all or bell.queue in changes.ready or changes.session_lost:
                bell.ring()

    def close(self) -> None:
        """Wake all of them for the last time."""
        self._stop_polling()
        for bell in self._bells:
            bell.ring()
        if self._probe is not None:
            self._probe.close()
            self._probe = None

    def _poll(self, probe: sqlite3.Connection) -> None:
        """Most of what a poll costs is that the process wakes up: where nothing comes, it is to be seldom."""
        try:
            version: int = probe.execute("PRAGMA data_version").fetchone()[0]
            self._pause = min(self._pause * _SLOWER, self._longest_pause)
            if version != self._seen:
                if self._look(probe):
                    self._pause = self._longest_pause / _FASTER
                self._seen = version
        except sqlite3.OperationalError:
            pass  # locked for a moment by a process that recovers or removes the log; look again
        self._timer = asyncio.get_running_loop().call_later(self._pause, self._poll, probe)

    def _look(self, probe: sqlite3.Connection) -> bool:
        """Whether there was something for a queue: what changes most often are the heartbeats of others.

        It rings for those too that do not wait yet: they may have looked before the change.
        """
        queues = self.queues()
        ready = with_something_ready(probe, queues) if queues else []
        for bell in self._bells:
            if bell.rings_for_all or bell.queue in ready:
                bell.ring()
        if (due_at := next_due(probe)) is not None:
            self._on_due(due_at)
        return bool(ready)

    def _stop_polling(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
