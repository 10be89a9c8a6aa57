"""What is copied, as rows of the partitions of its months."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from eventbus.archive import ArchiveEnd, Copied
from eventbus.archives.months import in_bounds, month_of
from eventbus.archives.postgres.statements import make_month, statements
from eventbus.databases.postgres.database import Connection
from eventbus.databases.texts import storable
from eventbus.record import pack

_COLUMNS: Final = ("number", "occurred_at", "log_offset", "properties", "body")

Row = tuple[datetime, int, str, bytes]


class Appending:
    """Made before anything is asked: raises `InvalidEvent` for a header value that cannot be kept."""

    def __init__(self, entries: Sequence[Copied], expected: int | None, next_offset: int) -> None:
        self._expected = expected
        self._next_offset = next_offset
        self._rows: dict[str, Row] = {}
        """By their identity, in the order of the log; of two of one identity the first."""
        for entry in entries:
            self._rows.setdefault(storable(entry.identity), _row(entry))

    async def __call__(self, connection: Connection) -> int | ArchiveEnd:
        """How many were new; or the end of the archive, where it is not the expected one."""
        async with connection.transaction():
            # One appends at a time, and so the numbers are in the order of the commits.
            number, next_offset = await connection.fetchrow(statements()["lock"]) or (0, None)
            if next_offset != self._expected:
                return ArchiveEnd(number, next_offset)
            new = await self._enter(connection)
            rows = [(place, *self._rows[identity]) for place, identity in enumerate(new, number + 1)]
            if rows:
                await connection.copy_records_to_table(
                    "event", schema_name="eventbus_archive", columns=_COLUMNS, records=rows
                )
            await connection.execute(statements()["move"], number + len(rows), self._next_offset)
        return len(rows)

    async def _enter(self, connection: Connection) -> Sequence[str]:
        """The identities that were not there yet, in the order of the log; their months have partitions."""
        if not self._rows:
            return []
        months = [month_of(occurred_at) for occurred_at, *_ in self._rows.values()]
        for row in await connection.fetch(statements()["missing"], list(set(months))):
            await connection.execute(make_month(row[0]))
        entered = await connection.fetch(statements()["enter"], list(self._rows), months)
        new = {row[0] for row in entered}
        return [identity for identity in self._rows if identity in new]


def _row(entry: Copied) -> Row:
    return in_bounds(entry.occurred_at), entry.offset, pack(entry.message), entry.message.body


async def end(connection: Connection) -> ArchiveEnd:
    number, next_offset = await connection.fetchrow(statements()["end"]) or (0, None)
    return ArchiveEnd(number, next_offset)
