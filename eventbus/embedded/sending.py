"""Messages come in: routed and logged in one transaction, or put off until they are due."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Final

from eventbus.embedded.routing import Routes
from eventbus.embedded.row import pack, routing_key_of
from eventbus.embedded.transaction import Transaction
from eventbus.transport import Message

_LOG: Final = "INSERT INTO eventbus_log (logged_at, properties, body) VALUES (?, ?, ?)"
_DELIVER: Final = 'INSERT INTO eventbus_delivery (queue, "offset", since) VALUES (?, ?, ?)'
_DELIVER_COPY: Final = (
    "INSERT INTO eventbus_delivery (queue, due_at, since, properties, body) VALUES (?, ?, ?, ?, ?)"
)
_SCHEDULE: Final = "INSERT INTO eventbus_scheduled (due_at, properties, body) VALUES (?, ?, ?)"
_PROMOTE_DELIVERIES: Final = """
    UPDATE eventbus_delivery SET due_at = NULL
    WHERE id IN (SELECT id FROM eventbus_delivery WHERE due_at <= ? ORDER BY due_at LIMIT ?) RETURNING queue
"""
_DUE_EVENTS: Final = (
    "SELECT id, properties, body FROM eventbus_scheduled WHERE due_at <= ? ORDER BY due_at, id LIMIT ?"
)
_NEXT_DUE: Final = """
    SELECT min(due_at) FROM (
        SELECT min(due_at) AS due_at FROM eventbus_delivery WHERE due_at IS NOT NULL
        UNION ALL SELECT min(due_at) FROM eventbus_scheduled
    )
"""
_MOST_PROMOTED: Final = 500
"""In one transaction, so that whoever publishes meanwhile is not held up."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """A message ready for its row; times in microseconds."""

    routing_key: str
    queue: str | None
    due_after: int
    properties: str
    body: bytes


def parcel(message: Message) -> Parcel:
    """Raises `InvalidEvent` for headers that cannot travel."""
    due_after = ceil(message.delay * 1_000_000) if message.delay > 0 else 0
    return Parcel(message.routing_key, message.queue, due_after, pack(message), message.body)


def store(transaction: Transaction, routes: Routes, parcels: Sequence[Parcel], now: int) -> list[int]:
    """Take them all but those for a queue that does not exist; the positions of these are the answer."""
    refused: list[int] = []
    for position, each in enumerate(parcels):
        if each.queue is not None:
            queue = routes.for_queue(transaction, each.queue)
            if queue is None:
                refused.append(position)
            else:
                _to_one_queue(transaction, queue, each, now)
        elif each.due_after:
            due_at = now + each.due_after
            transaction.connection.execute(_SCHEDULE, (due_at, each.properties, each.body))
            transaction.changes.put_off(due_at)
        else:
            _to_all(transaction, routes, each.routing_key, each.properties, each.body, now)
    return refused


def promote(transaction: Transaction, routes: Routes, now: int) -> bool:
    """What is due becomes ready; events go to the queues bound at this moment. Whether more is due."""
    connection = transaction.connection
    promoted = connection.execute(_PROMOTE_DELIVERIES, (now, _MOST_PROMOTED)).fetchall()
    transaction.changes.ready.update(queue for (queue,) in promoted)
    events = connection.execute(_DUE_EVENTS, (now, _MOST_PROMOTED)).fetchall()
    for _, properties, body in events:
        _to_all(transaction, routes, routing_key_of(properties), properties, body, now)
    connection.executemany("DELETE FROM eventbus_scheduled WHERE id = ?", [(id,) for id, _, _ in events])
    due_at = next_due(connection)
    if due_at is not None:
        transaction.changes.put_off(due_at)
    return max(len(promoted), len(events)) == _MOST_PROMOTED


def next_due(connection: sqlite3.Connection) -> int | None:
    """The earliest due time of all that is put off."""
    found: int | None = connection.execute(_NEXT_DUE).fetchone()[0]
    return found


def _to_one_queue(transaction: Transaction, queue: int, each: Parcel, now: int) -> None:
    """Beside the routing, and not logged: what goes to one queue has been in the history before."""
    due_at = now + each.due_after if each.due_after else None
    row = (queue, due_at, due_at or now, each.properties, each.body)
    transaction.connection.execute(_DELIVER_COPY, row)
    if due_at is None:
        transaction.changes.ready.add(queue)
    else:
        transaction.changes.put_off(due_at)


def _to_all(
    transaction: Transaction, routes: Routes, routing_key: str, properties: str, body: bytes, now: int
) -> None:
    connection = transaction.connection
    offset = connection.execute(_LOG, (now, properties, body)).lastrowid
    transaction.changes.logged = True
    route = routes.for_key(transaction, routing_key)
    for queue in route:
        connection.execute(_DELIVER, (queue, offset, now))
    transaction.changes.ready.update(route)
