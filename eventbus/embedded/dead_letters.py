"""Looking at dead letters: they lie in the queue `<name>.dead`, from where they can be consumed too."""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from datetime import datetime
from typing import Final

from eventbus import headers
from eventbus.embedded.routing import DEAD_SUFFIX, queue_id
from eventbus.embedded.row import unpack
from eventbus.headers import Headers
from eventbus.transport import DeadLetterEntry

_OLDEST: Final = """
    SELECT coalesce(d.properties, l.properties), coalesce(d.body, l.body)
    FROM eventbus_delivery d LEFT JOIN eventbus_log l ON l."offset" = d."offset"
    WHERE d.id IN (SELECT id FROM eventbus_delivery WHERE queue = ? AND due_at IS NULL ORDER BY id LIMIT ?)
    ORDER BY d.id
"""


def oldest(connection: sqlite3.Connection, queue: str, limit: int) -> list[DeadLetterEntry]:
    """Raises `TopologyError` where there is no such queue."""
    queue_id(connection, queue)
    lying = connection.execute(_OLDEST, (queue_id(connection, queue + DEAD_SUFFIX), limit))
    return [_entry(properties, body) for properties, body in lying]


def _entry(properties: str, body: bytes) -> DeadLetterEntry:
    message = unpack(properties, body)
    return DeadLetterEntry(
        message=message,
        reason=str(message.headers.get(headers.REASON, "")),
        error=str(message.headers.get(headers.ERROR, "")),
        attempts=headers.attempt(message.headers),
        first_failed_at=_time(message.headers, headers.FIRST_FAILED_AT),
        died_at=_time(message.headers, headers.FAILED_AT),
    )


def _time(found: Headers, name: str) -> datetime | None:
    """None where another program wrote something else there."""
    with suppress(ValueError):
        return datetime.fromisoformat(str(found.get(name)))
    return None
