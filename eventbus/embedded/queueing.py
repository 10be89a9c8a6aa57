"""Deliveries go out and end: claimed under a lease, settled by its holder, handed back when it is gone.

A lease is the pair of a delivery and a consumer, and consumers' numbers are never used twice: whatever an old
holder still wants to do with a delivery that has gone to another finds no row.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from eventbus import headers
from eventbus.embedded.transaction import Transaction
from eventbus.outcome import Reason
from eventbus.record import microseconds, pack, unpack
from eventbus.transport import Message

_READY: Final = """
    SELECT d.id, d.handovers, coalesce(d.properties, l.properties), coalesce(d.body, l.body)
    FROM eventbus_delivery d LEFT JOIN eventbus_log l ON l."offset" = d."offset"
    WHERE d.queue = ? AND d.owner IS NULL AND d.due_at IS NULL AND d.handovers < ? ORDER BY d.id LIMIT ?
"""
_TAKE: Final = """
    UPDATE eventbus_delivery SET owner = ?, handovers = handovers + (
        SELECT q.dead_letters IS NOT NULL FROM eventbus_queue q WHERE q.id = eventbus_delivery.queue
    )
    WHERE id IN (SELECT value FROM json_each(?))
"""
"""Handing a dead letter over never counts against it: whoever looks through them gives most of them back."""
_ACK: Final = "DELETE FROM eventbus_delivery WHERE owner = ? AND id IN (SELECT value FROM json_each(?))"
ANY_NUMBER: Final = 2**63 - 1
_IS_ALIVE: Final = "SELECT 1 FROM eventbus_consumer WHERE id = ?"
_HAS_A_SUSPECT: Final = """
    SELECT 1 FROM eventbus_consumer mine
    JOIN eventbus_consumer c ON c.session = mine.session
    JOIN eventbus_delivery d ON d.queue = c.queue AND d.owner = c.id AND d.due_at IS NULL
    WHERE mine.id = ? AND d.handovers > ? LIMIT 1
"""
_LET_GO: Final = """
    UPDATE eventbus_delivery SET owner = NULL WHERE owner = ? AND id IN (SELECT value FROM json_each(?))
"""
_RETRY: Final = """
    UPDATE eventbus_delivery SET owner = NULL, handovers = 0, due_at = ?, since = ?, properties = ?
    WHERE owner = ? AND id = ?
"""
_BURY: Final = """
    INSERT INTO eventbus_delivery (queue, since, properties, body)
    SELECT coalesce(q.dead_letters, q.id), ?, ?, coalesce(d.body, l.body)
    FROM eventbus_delivery d JOIN eventbus_queue q ON q.id = d.queue
    LEFT JOIN eventbus_log l ON l."offset" = d."offset"
    WHERE d.owner = ? AND d.id = ? RETURNING queue
"""
_REMOVE: Final = "DELETE FROM eventbus_delivery WHERE owner = ? AND id = ?"
_OVER_THE_LIMIT: Final = """
    SELECT d.id, coalesce(d.properties, l.properties)
    FROM eventbus_delivery d JOIN eventbus_queue q ON q.id = d.queue
    LEFT JOIN eventbus_log l ON l."offset" = d."offset"
    WHERE d.queue = ? AND d.owner = ? AND d.due_at IS NULL AND d.handovers > ? AND q.dead_letters IS NOT NULL
"""
_HAND_BACK: Final = (
    "UPDATE eventbus_delivery SET owner = NULL WHERE queue = ? AND owner = ? AND due_at IS NULL"
)


_GIVE_BACK: Final = """
    UPDATE eventbus_delivery SET owner = NULL, handovers = handovers - 1
    WHERE queue = ? AND owner = ? AND due_at IS NULL AND id NOT IN (SELECT value FROM json_each(?))
"""


@dataclass(frozen=True, slots=True)
class Claimed:
    """A row that was taken: the delivery's number, how often it was handed over before, and its message."""

    id: int
    handovers_before: int
    properties: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Claim:
    deliveries: list[Claimed]
    held_back: bool
    """More may be ready that only comes when something else is settled."""


@dataclass(frozen=True, slots=True)
class Registered:
    """A consumer and its queue, as numbers."""

    consumer: int
    queue: int


@dataclass(frozen=True, slots=True)
class Again:
    """A delivery that is to be retried: the same row, with the headers of the next attempt."""

    id: int
    due_at: int | None
    since: int
    properties: str


@dataclass(frozen=True, slots=True)
class Buried:
    id: int
    since: int
    properties: str


@dataclass(slots=True)
class Settlement:
    """The outcomes of one consumer's deliveries, ready for their rows."""

    acks: list[int] = field(default_factory=list[int])
    retries: list[Again] = field(default_factory=list[Again])
    dead: list[Buried] = field(default_factory=list[Buried])

    def numbers(self) -> list[int]:
        """Of all deliveries that it settles."""
        return [*self.acks, *(each.id for each in self.retries), *(each.id for each in self.dead)]


def retry(id: int, message: Message, error: str, *, now: datetime, delay: int) -> Again:
    """`delay` in microseconds."""
    changed = headers.for_retry(message.headers, message.routing_key, error, now)
    since = microseconds(now) + delay
    return Again(id, since if delay else None, since, pack(message, changed))


def bury(id: int, message: Message, reason: str, error: str, now: datetime) -> Buried:
    changed = headers.for_dead_letter(message.headers, message.routing_key, reason, error, now)
    return Buried(id, microseconds(now), pack(message, changed))


def claim(
    transaction: Transaction, registered: Registered, limit: int, *, strays: Sequence[int], careful_after: int
) -> Claim | None:
    """Up to `limit` ready deliveries, in the order of their numbers; None when the consumer is no more.

    `strays` are deliveries that it holds by now only in the database: they are ready again before that.
    What was handed over `careful_after` times or more may be what kills the process that handles it, and all
    that is in flight there with it: of those a process gets one at a time.
    """
    connection = transaction.connection
    if not is_alive(connection, registered):
        return None
    if strays:
        connection.execute(_LET_GO, (registered.consumer, _numbers(strays)))
    ready = _ready(connection, registered.queue, limit)
    suspects = [each for each in ready if each.handovers_before >= careful_after]
    if suspects:
        has_one = connection.execute(_HAS_A_SUSPECT, (registered.consumer, careful_after)).fetchone()
        alone = [] if has_one else suspects[:1]
        ready = alone + _ready(connection, registered.queue, limit - len(alone), careful_after)
    if ready:
        connection.execute(_TAKE, (registered.consumer, _numbers(each.id for each in ready)))
    return Claim(ready, held_back=bool(suspects))


def is_alive(connection: sqlite3.Connection, registered: Registered) -> bool:
    """Whether nobody has ended this consumer."""
    return connection.execute(_IS_ALIVE, (registered.consumer,)).fetchone() is not None


def settle(transaction: Transaction, registered: Registered, settlement: Settlement) -> None:
    """What is no longer leased to this consumer is left alone: it has gone to another."""
    consumer, queue = registered.consumer, registered.queue
    connection = transaction.connection
    if settlement.acks:
        connection.execute(_ACK, (consumer, _numbers(settlement.acks)))
    for again in settlement.retries:
        row = (again.due_at, again.since, again.properties, consumer, again.id)
        if connection.execute(_RETRY, row).rowcount:
            _note_retry(transaction, queue, again)
    for buried in settlement.dead:
        _bury(transaction, consumer, buried)
    transaction.changes.settled = True


def hand_back(transaction: Transaction, registered: Registered, limit: int, now: datetime) -> None:
    """All that a consumer holds becomes ready, but for what was handed over more than `limit` times."""
    consumer, queue = registered.consumer, registered.queue
    connection = transaction.connection
    for id, properties in connection.execute(_OVER_THE_LIMIT, (queue, consumer, limit)).fetchall():
        error = f"handed over {limit + 1} times and never settled: does it end the process that handles it?"
        _bury(transaction, consumer, bury(id, unpack(properties, b""), Reason.DELIVERY_LIMIT, error, now))
    if connection.execute(_HAND_BACK, (queue, consumer)).rowcount:
        transaction.changes.ready.add(queue)
    transaction.changes.settled = True


def give_back(transaction: Transaction, registered: Registered, *, kept: Sequence[int]) -> None:
    """What was claimed and then not handed over, because nobody takes any more: all but `kept`."""
    row = (registered.queue, registered.consumer, _numbers(kept))
    if transaction.connection.execute(_GIVE_BACK, row).rowcount:
        transaction.changes.ready.add(registered.queue)


def anything_left(connection: sqlite3.Connection, queues: Iterable[int]) -> bool:
    """Whether one of `queues` has a delivery that is ready or in flight."""
    left = """
        SELECT 1 FROM json_each(?) AS wanted WHERE EXISTS (
            SELECT 1 FROM eventbus_delivery WHERE queue = wanted.value AND due_at IS NULL
        ) LIMIT 1
    """
    return connection.execute(left, (_numbers(queues),)).fetchone() is not None


def with_something_ready(connection: sqlite3.Connection, queues: Iterable[int]) -> list[int]:
    """Those of `queues` that have something to hand over."""
    ready = """
        SELECT wanted.value FROM json_each(?) AS wanted WHERE EXISTS (
            SELECT 1 FROM eventbus_delivery WHERE queue = wanted.value AND owner IS NULL AND due_at IS NULL
        )
    """
    return [queue for (queue,) in connection.execute(ready, (_numbers(queues),))]


def _note_retry(transaction: Transaction, queue: int, again: Again) -> None:
    if again.due_at is None:
        transaction.changes.ready.add(queue)
    else:
        transaction.changes.put_off(again.due_at)


def _bury(transaction: Transaction, consumer: int, buried: Buried) -> None:
    """A row of its own, with its own copy of the body: dead letters outlive the history."""
    connection = transaction.connection
    row = (buried.since, buried.properties, consumer, buried.id)
    moved = connection.execute(_BURY, row).fetchall()
    if moved:
        connection.execute(_REMOVE, (consumer, buried.id))
        transaction.changes.ready.add(moved[0][0])


def _ready(
    connection: sqlite3.Connection, queue: int, limit: int, handovers_below: int = ANY_NUMBER
) -> list[Claimed]:
    return [Claimed(*row) for row in connection.execute(_READY, (queue, handovers_below, limit))]


def _numbers(numbers: Iterable[int]) -> str:
    return json.dumps(list(numbers))
