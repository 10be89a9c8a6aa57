"""Queues and bindings, and which queues an event goes to."""

from __future__ import annotations

import json
import sqlite3
from typing import Final

from eventbus.embedded.transaction import Transaction
from eventbus.errors import TopologyError
from eventbus.topic import matches
from eventbus.transport import APPLY, UNBIND, Drift, QueueSpec, Topology, left_over

DEAD_SUFFIX: Final = ".dead"
"""The dead letters of a queue lie in one of their own, as on RabbitMQ, and can be consumed from there."""

_MOST_ROUTES: Final = 10_000
_QUEUE_ID: Final = "SELECT id FROM eventbus_queue WHERE name = ?"
_NOT_EMPTY: Final = """
    SELECT name FROM eventbus_queue q WHERE dead_letters IS NOT NULL AND (
        EXISTS (SELECT 1 FROM eventbus_binding WHERE queue = q.id)
        OR EXISTS (SELECT 1 FROM eventbus_delivery WHERE queue IN (q.id, q.dead_letters))
    ) ORDER BY name
"""
_UNBIND: Final = """
    DELETE FROM eventbus_binding
    WHERE queue = (SELECT id FROM eventbus_queue WHERE name = ?)
    AND pattern NOT IN (SELECT value FROM json_each(?))
"""


class Routes:
    """Where each routing key leads; remembered until the topology changes, by whichever process."""

    def __init__(self) -> None:
        self._version: int | None = None
        self._bindings: list[tuple[int, str]] = []
        self._routes: dict[str, tuple[int, ...]] = {}
        self._queues: dict[str, int] = {}

    def for_key(self, transaction: Transaction, routing_key: str) -> tuple[int, ...]:
        """The ids of the queues bound for `routing_key` at this moment."""
        self._refresh(transaction)
        route = self._routes.get(routing_key)
        if route is None:
            bound = {queue for queue, pattern in self._bindings if matches(pattern, routing_key)}
            if len(self._routes) >= _MOST_ROUTES:
                self._routes.clear()
            route = self._routes[routing_key] = tuple(sorted(bound))
        return route

    def for_queue(self, transaction: Transaction, name: str) -> int | None:
        """The id of the queue called `name`; None where there is none."""
        self._refresh(transaction)
        return self._queues.get(name)

    def _refresh(self, transaction: Transaction) -> None:
        if transaction.topology_version is None:
            transaction.topology_version = topology_version(transaction.connection)
        if transaction.topology_version == self._version:
            return
        connection = transaction.connection
        self._bindings = connection.execute("SELECT queue, pattern FROM eventbus_binding").fetchall()
        self._queues = dict(connection.execute("SELECT name, id FROM eventbus_queue").fetchall())
        self._routes.clear()
        self._version = transaction.topology_version


def topology_version(connection: sqlite3.Connection) -> int:
    version: int = connection.execute("SELECT topology_version FROM eventbus_transport").fetchone()[0]
    return version


def queue_id(connection: sqlite3.Connection, name: str) -> int:
    """Raises `TopologyError` where there is no such queue."""
    row = connection.execute(_QUEUE_ID, (name,)).fetchone()
    if row is None:
        raise TopologyError(name, "there is no such queue: apply the topology of its service first")
    found: int = row[0]
    return found


def apply(transaction: Transaction, topology: Topology) -> None:
    """Adds what is missing; several services each apply their own part."""
    if sum(_add(transaction.connection, queue) for queue in topology.queues):
        _changed(transaction)


def prune(transaction: Transaction, topology: Topology) -> None:
    """Removes the bindings of these queues that it has not; what is in them stays."""
    before = transaction.connection.total_changes
    transaction.connection.executemany(
        _UNBIND, [(queue.name, json.dumps(queue.patterns)) for queue in topology.queues]
    )
    if transaction.connection.total_changes > before:
        _changed(transaction)


def _changed(transaction: Transaction) -> None:
    # Random, not counted: a number that a rollback took back would be given to something else.
    transaction.connection.execute("UPDATE eventbus_transport SET topology_version = random()")
    transaction.topology_version = None


def _add(connection: sqlite3.Connection, queue: QueueSpec) -> int:
    before = connection.total_changes
    insert = "INSERT INTO eventbus_queue (name, dead_letters) VALUES (?, ?) ON CONFLICT DO NOTHING"
    connection.execute(insert, (queue.name + DEAD_SUFFIX, None))
    connection.execute(insert, (queue.name, queue_id(connection, queue.name + DEAD_SUFFIX)))
    found = queue_id(connection, queue.name)
    connection.executemany(
        "INSERT INTO eventbus_binding (queue, pattern) VALUES (?, ?) ON CONFLICT DO NOTHING",
        [(found, pattern) for pattern in queue.patterns],
    )
    return connection.total_changes - before


def diff(connection: sqlite3.Connection, topology: Topology) -> list[Drift]:
    differences = [drift for queue in topology.queues for drift in _differences(connection, queue)]
    return differences + [left_over(queue) for queue in _left_over_queues(connection, topology)]


def _left_over_queues(connection: sqlite3.Connection, topology: Topology) -> list[str]:
    """Of the same services, with no subscription here, while they are filled or have something in them."""
    known = {queue.name for queue in topology.queues}
    services = {queue.rpartition(".")[0] for queue in known}
    filled = [name for (name,) in connection.execute(_NOT_EMPTY)]
    return [name for name in filled if name not in known and name.rpartition(".")[0] in services]


def _differences(connection: sqlite3.Connection, queue: QueueSpec) -> list[Drift]:
    row = connection.execute(_QUEUE_ID, (queue.name,)).fetchone()
    if row is None:
        return [Drift("missing", f"queue {queue.name}", "nothing", f"run `{APPLY}`")]
    bound = "SELECT pattern FROM eventbus_binding WHERE queue = ? ORDER BY pattern"
    found = [pattern for (pattern,) in connection.execute(bound, row)]
    missing = [
        Drift("missing", f"binding {pattern} → {queue.name}", "nothing", f"run `{APPLY}`")
        for pattern in queue.patterns
        if pattern not in found
    ]
    unexpected = [
        Drift(
            "unexpected",
            f"binding {pattern} → {queue.name}",
            "a binding that its subscription does not name",
            UNBIND,
        )
        for pattern in found
        if pattern not in queue.patterns
    ]
    return missing + unexpected
