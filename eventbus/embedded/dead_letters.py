"""Looking at dead letters: they lie in the queue `<name>.dead`, from where they can be consumed too."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncGenerator
from functools import partial
from typing import Final

from eventbus.embedded.engine import Engine
from eventbus.embedded.routing import DEAD_SUFFIX, queue_id
from eventbus.record import unpack
from eventbus.transport import DeadLetterEntry

_PAGE: Final = 500

_OLDEST: Final = """
    SELECT d.id, coalesce(d.properties, l.properties), coalesce(d.body, l.body)
    FROM eventbus_delivery d LEFT JOIN eventbus_log l ON l."offset" = d."offset"
    WHERE d.id IN (
        SELECT id FROM eventbus_delivery WHERE queue = ? AND due_at IS NULL AND id > ? ORDER BY id LIMIT ?
    )
    ORDER BY d.id
"""


async def browse(engine: Engine, queue: str, *, limit: int) -> AsyncGenerator[list[DeadLetterEntry]]:
    """The oldest first, page by page. Raises `TopologyError` where there is no such queue."""
    left, last = limit, 0
    while left > 0:
        page = await engine.read(partial(_page, queue=queue, after=last, limit=min(left, _PAGE)))
        if not page:
            return
        left -= len(page)
        last = page[-1][0]
        yield [entry for _, entry in page]


def _page(
    connection: sqlite3.Connection, queue: str, after: int, limit: int
) -> list[tuple[int, DeadLetterEntry]]:
    """Each with the number of its row."""
    queue_id(connection, queue)
    lying = connection.execute(_OLDEST, (queue_id(connection, queue + DEAD_SUFFIX), after, limit))
    return [(number, DeadLetterEntry.of(unpack(properties, body))) for number, properties, body in lying]
