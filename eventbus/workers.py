"""The tasks that run the handlers of one consumption: cut off together from outside, and by no handler."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any


class Workers:
    """In a task group, which cancels all of its tasks in one step."""

    def __init__(self, group: asyncio.TaskGroup) -> None:
        self._group = group
        self.context = contextvars.copy_context()
        """In which each of them begins."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._last: asyncio.Task[None] | None = None
        """Runs no handler: who has cancelled it means them all."""
        self._name = ""

    def begin(self, *work: Coroutine[Any, Any, None], name: str) -> None:
        self._name = name
        for each in work:
            self.add(each)
        self._last = self._group.create_task(self._end(), name=f"end of {name}")

    def may_go_on(self) -> bool:
        """For a worker that was told to end: whether that came from its own handler.

        It does where a handler cancels the task that it runs in, or leaves a cancellation behind that it has
        swallowed. What is left of it is taken back.
        """
        with suppress(RuntimeError):  # no loop runs: what is left of it is being cleared away
            task = asyncio.current_task()
            if task in self._tasks and self._last is not None and not self._last.cancelling():
                while task.uncancel():
                    pass
                return True
        return False

    def add(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._group.create_task(work, name=self._name, context=self.context.copy())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _end(self) -> None:
        while self._tasks:
            await asyncio.wait(self._tasks)
