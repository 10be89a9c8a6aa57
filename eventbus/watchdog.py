"""Names the handler that blocks the event loop: while it does, nothing else in the process moves."""

from __future__ import annotations

import asyncio
import sys
import threading
import traceback
from typing import Final

from eventbus.logs import get_logger

LIMIT: Final = 1.0
"""Seconds without a turn of the loop until somebody is named."""


class Watchdog:
    """A thread that asks the loop for a sign of life; to be started and stopped on that loop."""

    def __init__(self, *, limit: float = LIMIT) -> None:
        self._limit = limit
        self._stopped = threading.Event()
        self._log = get_logger("eventbus.watchdog")

    def start(self) -> None:
        watching = (asyncio.get_running_loop(), threading.get_ident())
        threading.Thread(target=self._watch, args=watching, name="eventbus-watchdog", daemon=True).start()

    def stop(self) -> None:
        self._stopped.set()

    def _watch(self, loop: asyncio.AbstractEventLoop, thread: int) -> None:
        while not self._stopped.wait(self._limit / 2):
            alive = threading.Event()
            try:
                loop.call_soon_threadsafe(alive.set)
            except RuntimeError:  # the loop has ended
                return
            if not alive.wait(self._limit):
                self._tell(loop, thread)
                while not (alive.wait(self._limit) or self._stopped.is_set()):
                    continue

    def _tell(self, loop: asyncio.AbstractEventLoop, thread: int) -> None:
        frame = sys._current_frames().get(thread)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] -- documented
        task = asyncio.current_task(loop)
        where = traceback.extract_stack(frame, limit=None)[-1] if frame is not None else None
        self._log.warning(
            "loop.blocked",
            seconds=self._limit,
            subscription=task.get_name() if task is not None else None,
            at=f"{where.filename}:{where.lineno} {where.name}" if where is not None else None,
            advice="make the handler a plain function, which runs in a thread, or await what takes long",
        )
