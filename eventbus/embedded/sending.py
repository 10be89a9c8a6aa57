"""Messages come in: routed and logged in one transaction, or put off until they are due."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from itertools import groupby
from math import ceil
from typing import Final

from eventbus.embedded.bulk import insert, within_bytes
from eventbus.embedded.routing import Routes
from eventbus.embedded.transaction import Transaction
from eventbus.record import pack, routing_key_of
from eventbus.transport import Message

_LOG: Final = "INSERT INTO eventbus_log (logged_at, properties, body) VALUES "
_SCHEDULE: Final = "INSERT INTO eventbus_scheduled (due_at, properties, body) VALUES "
_DELIVER_ALONE: Final = "INSERT INTO eventbus_delivery (queue, due_at, since, properties, body) VALUES "
_DELIVER: Final = """
    INSERT INTO eventbus_delivery (queue, "offset", since) SELECT ?, value, ? FROM json_each(?)
"""
_PROMOTE_DELIVERIES: Final = """
    UPDATE eventbus_delivery SET due_at = NULL
    WHERE id IN (SELECT id FROM eventbus_delivery WHERE due_at <= ? ORDER BY due_at LIMIT ?) RETURNING queue
"""
_UNSCHEDULE: Final = "DELETE FROM eventbus_scheduled WHERE id IN (SELECT value FROM json_each(?))"
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


def store(
    transaction: Transaction, routes: Routes, sends: Sequence[Sequence[Parcel]], now: int
) -> list[list[int]]:
    """Take all of them but those for a queue that does not exist: their positions in each send."""
    refused: list[list[int]] = []
    accepted: list[Parcel] = []
    for parcels in sends:
        unknown = [
            position
            for position, each in enumerate(parcels)
            if each.queue is not None and routes.for_queue(transaction, each.queue) is None
        ]
        refused.append(unknown)
        accepted += parcels if not unknown else [p for at, p in enumerate(parcels) if at not in unknown]
    # Runs of one kind: the order of what goes to one queue is kept, and each run is a few statements.
    for kind, run in groupby(accepted, key=_kind):
        match kind:
            case _Kind.NOW:
                _publish(
                    transaction, routes, [(each.routing_key, each.properties, each.body) for each in run], now
                )
            case _Kind.LATER:
                _schedule(transaction, list(run), now)
            case _Kind.ONE_QUEUE:
                _deliver_alone(transaction, routes, list(run), now)
    return refused


def promote(transaction: Transaction, routes: Routes, now: int) -> bool:
    """What is due becomes ready; events go to the queues bound at this moment. Whether more is due."""
    connection = transaction.connection
    promoted = connection.execute(_PROMOTE_DELIVERIES, (now, _MOST_PROMOTED)).fetchall()
    transaction.changes.ready.update(queue for (queue,) in promoted)
    events = within_bytes(connection.execute(_DUE_EVENTS, (now, _MOST_PROMOTED)))
    if events:
        routed = [(routing_key_of(properties), properties, body) for _, properties, body in events]
        _publish(transaction, routes, routed, now)
        connection.execute(_UNSCHEDULE, (json.dumps([id for id, _, _ in events]),))
    due_at = next_due(connection)
    if due_at is not None:
        transaction.changes.put_off(due_at)
    return due_at is not None and due_at <= now


def next_due(connection: sqlite3.Connection) -> int | None:
    """The earliest due time of all that is put off."""
    found: int | None = connection.execute(_NEXT_DUE).fetchone()[0]
    return found


class _Kind(Enum):
    NOW = auto()
    LATER = auto()
    ONE_QUEUE = auto()


def _kind(parcel: Parcel) -> _Kind:
    if parcel.queue is not None:
        return _Kind.ONE_QUEUE
    return _Kind.LATER if parcel.due_after else _Kind.NOW


def _publish(
    transaction: Transaction, routes: Routes, events: Sequence[tuple[str, str, bytes]], now: int
) -> None:
    """Into the history once, and into each queue that is bound. An event: routing key, properties, body."""
    connection = transaction.connection
    rows = [(now, properties, body) for _, properties, body in events]
    newest = insert(connection, _LOG, rows)
    by_queue: dict[int, list[int]] = {}
    for offset, (routing_key, _, _) in enumerate(events, newest - len(events) + 1):
        for queue in routes.for_key(transaction, routing_key):
            by_queue.setdefault(queue, []).append(offset)
    for queue, offsets in by_queue.items():
        connection.execute(_DELIVER, (queue, now, json.dumps(offsets)))
    transaction.changes.logged = True
    transaction.changes.ready.update(by_queue)


def _schedule(transaction: Transaction, parcels: Sequence[Parcel], now: int) -> None:
    rows = [(now + each.due_after, each.properties, each.body) for each in parcels]
    insert(transaction.connection, _SCHEDULE, rows)
    transaction.changes.put_off(min(due_at for due_at, _, _ in rows))


def _deliver_alone(transaction: Transaction, routes: Routes, parcels: Sequence[Parcel], now: int) -> None:
    """Beside the routing, and not logged: what goes to one queue has been in the history before."""
    rows: list[tuple[int | None, int | None, int, str, bytes]] = []
    for each in parcels:
        queue = routes.for_queue(transaction, each.queue or "")
        since = now + each.due_after
        rows.append((queue, since if each.due_after else None, since, each.properties, each.body))
        if each.due_after:
            transaction.changes.put_off(since)
        elif queue is not None:
            transaction.changes.ready.add(queue)
    insert(transaction.connection, _DELIVER_ALONE, rows)
