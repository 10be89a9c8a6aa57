"""Reads the history, and goes on where it was when an archive or a broker that was away is back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from eventbus.errors import SendFailed
from eventbus.history import Piece, Place
from eventbus.logs import get_logger
from eventbus.store import StoreUnavailable
from eventbus.waiting import Outage, stopped


class Reading:
    def __init__(self, read: Callable[[Place], AsyncGenerator[Piece]], place: Place, queue: str) -> None:
        """`read`: from a place to the end. `queue`: of the subscription that it is read for."""
        self._read = read
        self._place = place
        self._stopping = asyncio.Event()
        log = get_logger("eventbus.catchup").bind(subscription=queue)
        self._outage = Outage(log.error, "catch_up.waiting")

    def stop(self) -> None:
        """From now on nothing waits for another try."""
        self._stopping.set()

    async def pieces(self) -> AsyncGenerator[Piece]:
        """All of it, or after `stop` a part; to be closed, as by `contextlib.aclosing`."""
        while not self._stopping.is_set():
            try:
                async with aclosing(self._read(self._place)) as pieces:
                    async for piece in pieces:
                        self._outage.is_over()
                        self._place = piece.place
                        yield piece
            except (SendFailed, StoreUnavailable) as error:
                await stopped(self._stopping, within=self._outage.pause(error))
            else:
                return
