"""This process as one that claims: who it is, and that it lives."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from contextlib import ExitStack, closing
from functools import partial
from typing import Final

from eventbus.databases.sqlite.address import Address
from eventbus.databases.sqlite.database import connect, explained, is_locked, patiently
from eventbus.logs import get_logger
from eventbus.stores.options import StoreOptions
from eventbus.stores.sqlite.statements import statements

_BURIED_AFTER: Final = 86_400_000_000
"""A day, in microseconds: rows of the dead are only a few bytes, and tell who it was."""


class Owner:
    """Its number is never another's, so that what it has lost stays lost."""

    def __init__(self, address: Address, options: StoreOptions) -> None:
        self.id = 0
        self._address = address
        self._lease = options.lease
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def enter(self, connection: sqlite3.Connection) -> None:
        """In a transaction of the caller's."""
        sql = statements()
        connection.execute(sql["bury"], {"uptime": uptime(), "after": _BURIED_AFTER})
        entered = connection.execute(sql["enter"], self._sign_of_life())
        self.id = entered.lastrowid or 0

    def beat(self, connection: sqlite3.Connection) -> None:
        """Also after somebody has buried it: what nobody else has claimed since is still ours."""
        row = {"owner": self.id, **self._sign_of_life()}
        sqlite3.Cursor(connection).execute(statements()["beat"], row)

    def leave(self, connection: sqlite3.Connection) -> None:
        """What it holds is anybody's from now on."""
        sql = statements()
        connection.execute(sql["stand_down"], {"owner": self.id})
        connection.execute(sql["leave"], {"owner": self.id})

    def start(self) -> None:
        """In a thread with a connection of its own: a handler may hold up the event loop.

        A database in memory has nobody to tell.
        """
        if self._address.file is None:
            return
        self._thread = threading.Thread(target=self._live, name="eventbus-store-heartbeat", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()

    def _live(self) -> None:
        """What fails is tried again with the next beat, and so is connecting."""
        pause = self._lease / 3
        told = False
        with ExitStack() as opened:
            connection: sqlite3.Connection | None = None
            while not self._stopped.wait(pause):
                try:
                    if connection is None:
                        connecting = connect(self._address, sqlite3.Connection, durable=False)
                        connection = opened.enter_context(closing(connecting))
                    patiently(partial(self.beat, connection), pause)
                except sqlite3.Error as error:
                    if not told and not is_locked(error):
                        told = True
                        problem = explained(error, self._address)
                        get_logger("eventbus.store").error("store.heartbeat_failed", problem=str(problem))
                else:
                    told = False

    def _sign_of_life(self) -> dict[str, int]:
        """It holds for a time before it, too: who asks may have looked at the clock a moment before us."""
        now, lease = uptime(), int(self._lease * 1_000_000)
        return {"pid": os.getpid(), "valid_from": now - lease, "expires_at": now + lease}


def uptime() -> int:
    """In microseconds, for all processes of the machine alike, as Python's monotonic clock is.

    Not the time of day, which somebody may set: back, and the dead would live on; forward, and the living
    would be dead until their next beat. After a restart of the machine it begins anew, so that a sign of life
    from the future is one of before that.
    """
    return time.monotonic_ns() // 1000
