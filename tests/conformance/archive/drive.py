"""The words that the tests of archives are written in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING

from eventbus.archive import ArchivedEntry, Copied
from eventbus.transport import Message

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eventbus.archive import Archive

_OFFSETS = count()

NOVEMBER = datetime(2026, 11, 17, 12, tzinfo=UTC)
DECEMBER = datetime(2026, 12, 2, tzinfo=UTC)
DAY = timedelta(days=1)


def an_entry(identity: str | None = None, occurred_at: datetime = NOVEMBER) -> Copied:
    offset = next(_OFFSETS)
    identity = f"evt_{offset}" if identity is None else identity
    return Copied(identity, Message(b"{}", "order.created", event_id=identity), occurred_at, offset)


def some_entries(count: int, occurred_at: datetime = NOVEMBER) -> list[Copied]:
    return [an_entry(occurred_at=occurred_at) for _ in range(count)]


async def append(archive: Archive, *entries: Copied) -> int:
    """After whatever is there."""
    come_to = (await archive.end()).next_offset
    return await archive.append(entries, expected=come_to, next_offset=(come_to or 0) + len(entries))


async def read_all(
    archive: Archive, *, limit: int = 1000, after: int = 0, **bounds: datetime
) -> list[ArchivedEntry]:
    """Page after page."""
    found: list[ArchivedEntry] = []
    while True:
        page = await archive.read(after, limit=limit, **bounds)
        found += page
        if len(page) < limit:
            return found
        after = page[-1].number


def ids(entries: Sequence[ArchivedEntry | Copied]) -> list[str | None]:
    return [entry.message.event_id for entry in entries]
