"""Where an open bus belongs: to the event loop that opened it, of the process that did."""

from __future__ import annotations

import asyncio
import os
from typing import Final
from weakref import WeakSet

from eventbus.errors import EventBusError

_ENTERED: Final[WeakSet[Home]] = WeakSet()
"""For the moment of a fork, which only they are told of."""


class Home:
    """A bus has connections, threads and locks of one loop: elsewhere they hang, or spoil what others do."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._process: int | None = None
        self._is_open = False

    def enter(self) -> None:
        """The bus begins to open in the running loop. Raises `EventBusError` where it has before."""
        if self._process is not None:
            self.check_here()
            raise EventBusError(
                "the bus is open already, and the end of this block would close it for the other one too: "
                "use the open one, or make another Bus"
            )
        self._loop, self._process = asyncio.get_running_loop(), os.getpid()
        _ENTERED.add(self)

    def opened(self) -> None:
        self._is_open = True

    def leave(self) -> None:
        self._loop, self._process, self._is_open = None, None, False
        _ENTERED.discard(self)

    def check_open(self) -> None:
        """Raises `EventBusError` unless the bus is open, and here."""
        if not self._is_open:
            raise EventBusError("the bus is not open: use it inside `async with Bus(…) as bus:`")
        self.check_here()

    def check_here(self) -> None:
        """Raises `EventBusError` in another loop, or process, than the one that entered."""
        try:
            if self._loop is asyncio.get_running_loop():
                return
        except RuntimeError:  # a child that was forked in the middle of a coroutine has none
            pass
        if self._process != os.getpid():
            raise EventBusError(
                f"the bus was opened in another process ({self._process}), whose connections this one cannot "
                "share. Nothing was sent: open a bus here"
            )
        raise EventBusError(
            "the bus belongs to the event loop that opened it, and this is another one. Nothing was sent: "
            "use `asyncio.run_coroutine_threadsafe(bus.publish(…), loop)` with that loop, or open a bus here"
        )

    def forked(self) -> None:
        """This is the copy in a child, which may run the same loop on."""
        self._loop = None


def _forked() -> None:
    for home in _ENTERED:
        home.forked()


if hasattr(os, "register_at_fork"):  # not on Windows, which knows no fork
    os.register_at_fork(after_in_child=_forked)
