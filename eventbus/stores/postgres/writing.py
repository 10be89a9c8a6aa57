"""Events as rows of the outbox, on any connection."""

from __future__ import annotations

from collections.abc import Sequence

from eventbus.databases.postgres.database import Connection
from eventbus.stores.entries import rows
from eventbus.stores.postgres.statements import Statements
from eventbus.transport import Message

_COLUMNS = ("event_id", "key", "queue", "properties", "body", "checksum", "due_at")


class Putting:
    """Made before anything is asked: raises `InvalidEvent` for a header value that cannot travel."""

    def __init__(
        self,
        statements: Statements,
        messages: Sequence[Message],
        keys: Sequence[str | None],
        now: int,
        bus: str,
    ) -> None:
        """`now` in microseconds."""
        put = rows(messages, keys, now, bus)
        self._statement = statements["put"]
        self._parameters = (*([row[name] for row in put] for name in _COLUMNS), now, bus)

    async def __call__(self, connection: Connection) -> None:
        await connection.execute(self._statement, *self._parameters)
