"""Lets go of pages, also where the store is away just then, or the caller is cancelled.

Else nobody could have them while this process lives.
"""

from __future__ import annotations

import asyncio
from typing import Final
from weakref import WeakKeyDictionary

from eventbus.logbook import Logbook
from eventbus.logs import get_logger
from eventbus.store import StoreUnavailable

_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 10.0
_PATIENCE: Final = 24 * 3600.0
"""Seconds between two tries, and for how long: a store that was closed meanwhile never says yes."""

_LATER: Final[WeakKeyDictionary[Logbook, dict[tuple[str, str], asyncio.Task[None]]]] = WeakKeyDictionary()
"""What is still to be left: of the process, as the hand is that has it."""


class Leaving:
    def __init__(self, logbook: Logbook) -> None:
        self._logbook = logbook
        self._later = _LATER.setdefault(logbook, {})

    async def __call__(self, kind: str, name: str) -> None:
        """At once where the store answers: whoever wants it can have it when this returns.

        In a task of its own, which goes on where the caller is cancelled in this last step of his: a question
        that still waited for the store's thread would never be asked.
        """
        leaving = asyncio.create_task(self._leave(kind, name), name=f"leave the {kind} {name}")
        self._later[kind, name] = leaving
        await asyncio.shield(leaving)

    async def before_taking(self, kind: str, name: str) -> None:
        """What is still to be left is left now, and not from under whoever takes it next.

        Raises `StoreUnavailable`.
        """
        if (kind, name) in self._later:
            await self._logbook.leave(kind, name)
            leaving = self._later.pop((kind, name), None)
            if leaving is not None:  # it has not done the same meanwhile
                leaving.cancel()

    async def _leave(self, kind: str, name: str) -> None:
        try:
            await self._logbook.leave(kind, name)
        except StoreUnavailable as error:
            log = get_logger("eventbus.logbook").bind(kind=kind, name=name)
            log.warning("page.left_later", problem=error.problem)
            trying = asyncio.create_task(self._keep_trying(kind, name), name=f"leave the {kind} {name} later")
            self._later[kind, name] = trying
        else:
            self._later.pop((kind, name), None)

    async def _keep_trying(self, kind: str, name: str) -> None:
        loop = asyncio.get_running_loop()
        pause, ends = _FIRST_PAUSE, loop.time() + _PATIENCE
        while loop.time() < ends:
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
            try:
                await self._logbook.leave(kind, name)
            except StoreUnavailable:
                continue
            break
        self._later.pop((kind, name), None)
