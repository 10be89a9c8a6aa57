"""Who is alive: one session a process, one consumer a Consumption; and what becomes of the dead.

Heartbeats are told in the machine's time, which all processes share, and never in the bus's clock.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import datetime
from typing import Final

from eventbus.embedded.neighbours import house, is_gone
from eventbus.embedded.options import EmbeddedOptions
from eventbus.embedded.queueing import Registered, hand_back, is_alive
from eventbus.embedded.routing import queue_id
from eventbus.embedded.transaction import Transaction
from eventbus.errors import TopologyError

_BEGIN: Final = (
    "INSERT INTO eventbus_session (id, pid, heartbeat) VALUES (?, ?, ?) "
    "ON CONFLICT (id) DO UPDATE SET heartbeat = excluded.heartbeat"
)
_OTHERS: Final = "SELECT id, pid, heartbeat FROM eventbus_session WHERE id <> ?"
_CONSUMERS: Final = "SELECT id, queue FROM eventbus_consumer WHERE session = ?"


class Session:
    """This process, as the others see it. Its methods run inside transactions, on the writer's thread."""

    def __init__(self, id: str, options: EmbeddedOptions, now: Callable[[], datetime]) -> None:
        """`now`: the bus's clock, for what is written into dead letters."""
        self._id = f"{house()} {id}"
        self._options = options
        self._now = now
        self._begun = False
        self._leaving: list[Registered] = []
        self._last_beat = time.monotonic()
        self._last_machine_time = _machine_time()
        self._patient_until = self._last_beat

    def register(self, transaction: Transaction, queue: str) -> Registered:
        """A new consumer of `queue`. Raises `TopologyError` where there is no such queue."""
        connection = transaction.connection
        found = queue_id(connection, queue)
        connection.execute(_BEGIN, (self._id, os.getpid(), _machine_time()))
        self._begun = True
        self._bury_the_gone(transaction)  # what they held comes before what came later
        row = (self._id, found)
        added = connection.execute("INSERT INTO eventbus_consumer (session, queue) VALUES (?, ?)", row)
        if added.lastrowid is None:
            raise TopologyError(queue, "no consumer could be registered")
        return Registered(added.lastrowid, found)

    def leave(self, transaction: Transaction, registered: Registered) -> None:
        """What the consumer holds goes back to its queue at once."""
        limit = self._options.delivery_limit
        hand_back(transaction, registered, limit, self._now())
        transaction.connection.execute("DELETE FROM eventbus_consumer WHERE id = ?", (registered.consumer,))

    def leave_later(self, registered: Registered) -> None:
        """With the next heartbeat: `leave` has failed."""
        self._leaving.append(registered)

    def end(self, transaction: Transaction) -> None:
        self._remove(transaction, self._id)

    def beat(self, transaction: Transaction) -> None:
        """Say that this process lives, and free what dead ones hold."""
        if self._begun:
            self._say_alive(transaction)
        for registered in list(self._leaving):
            if is_alive(transaction.connection, registered):
                self.leave(transaction, registered)
            else:  # by the last heartbeat, and committed
                self._leaving.remove(registered)
        if self._is_patient():
            self._bury_the_gone(transaction)
        else:
            self.bury_the_dead(transaction)

    def bury_the_dead(self, transaction: Transaction) -> None:
        """A heartbeat from the future counts as silence too: the machine's clock was set back since."""
        now, expiry = _machine_time(), int(self._options.session_expiry * 1_000_000)
        for session, process, heartbeat in self._others(transaction):
            if _has_gone(session, process) or not now - expiry <= heartbeat <= now + expiry:
                self._remove(transaction, session)

    def _bury_the_gone(self, transaction: Transaction) -> None:
        for session, process, _ in self._others(transaction):
            if _has_gone(session, process):
                self._remove(transaction, session)

    def _is_patient(self) -> bool:
        """Whether the others may have had no chance to say that they live.

        A machine that slept, or whose clock was set, must not go on with a quarrel in which each process
        takes the others for dead. On Linux the monotonic clock sleeps too, and the machine's time jumps.
        """
        before, machine_time_before = self._last_beat, self._last_machine_time
        self._last_beat, self._last_machine_time = time.monotonic(), _machine_time()
        gap = self._last_beat - before
        jump = (self._last_machine_time - machine_time_before) / 1_000_000 - gap
        expiry = self._options.session_expiry
        # The other half is for the heartbeat itself, which may be that far away.
        if gap >= expiry or abs(jump) >= expiry / 2:
            self._patient_until = self._last_beat + expiry
        return self._last_beat < self._patient_until

    def _others(self, transaction: Transaction) -> list[tuple[str, int, int]]:
        return transaction.connection.execute(_OTHERS, (self._id,)).fetchall()

    def _say_alive(self, transaction: Transaction) -> None:
        update = "UPDATE eventbus_session SET heartbeat = ? WHERE id = ?"
        if transaction.connection.execute(update, (_machine_time(), self._id)).rowcount == 0:
            transaction.changes.session_lost = True

    def _remove(self, transaction: Transaction, session: str) -> None:
        for consumer, queue in transaction.connection.execute(_CONSUMERS, (session,)).fetchall():
            self.leave(transaction, Registered(consumer, queue))
        transaction.connection.execute("DELETE FROM eventbus_session WHERE id = ?", (session,))


def _has_gone(session: str, process: int) -> bool:
    """Of a process of this machine: nobody has to wait for its heartbeat to fail."""
    return bool(house()) and session.startswith(f"{house()} ") and is_gone(process)


def _machine_time() -> int:
    return time.time_ns() // 1000
