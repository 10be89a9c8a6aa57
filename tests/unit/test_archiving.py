"""How the history is handed to an archive; what the archive makes of it is in `tests/conformance/archive`."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, cast

import pytest

from eventbus import Envelope
from eventbus.archives.sqlite.archive import SqliteArchive
from eventbus.archiving import Archiving
from eventbus.clock import SystemClock
from eventbus.codec import Codec
from eventbus.transport import LogBounds, LogEntry, LogStart, Message, Transport
from tests.support.handling import NOON

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from eventbus.archive import Copied

MEGABYTE = 1024**2


class LargeLog:
    """A broker that hands out so many events of a megabyte at once."""

    url = "test"

    def __init__(self, count: int) -> None:
        message = Message(b"x" * MEGABYTE, "order.created")
        self.entries = [LogEntry(offset, message, None) for offset in range(count)]

    async def log_bounds(self) -> LogBounds:
        return LogBounds(first=0, end=len(self.entries))

    @asynccontextmanager
    async def log(
        self, start: LogStart, *, until: int | None = None
    ) -> AsyncIterator[AsyncIterator[Sequence[LogEntry]]]:
        async def batches() -> AsyncIterator[Sequence[LogEntry]]:
            yield self.entries

        yield batches()


class Measured(SqliteArchive):
    """Notes how many bytes come in one transaction."""

    def __init__(self, url: str) -> None:
        super().__init__(url, timeout=10.0)
        self.sizes: list[int] = []

    async def append(self, entries: Sequence[Copied], *, expected: int | None, next_offset: int) -> int:
        self.sizes.append(sum(len(entry.message.body) for entry in entries))
        return await super().append(entries, expected=expected, next_offset=next_offset)


@pytest.fixture
async def archive(tmp_path: Path) -> AsyncIterator[Measured]:
    archive = Measured(f"sqlite:///{tmp_path / 'archive.db'}")
    await archive.open()
    yield archive
    await archive.close()


async def test_large_events_come_to_the_archive_in_transactions_of_a_few_megabytes(archive: Measured):
    log = LargeLog(20)
    copying = Archiving(cast("Transport", log), archive, Codec(), SystemClock())

    await copying.catch_up()

    assert archive.sizes == [8 * MEGABYTE, 8 * MEGABYTE, 4 * MEGABYTE]
    assert copying.copied == 20
    assert (await archive.end()).next_offset == 20


async def test_what_cannot_be_read_keeps_out_no_event_of_the_same_id(archive: Measured):
    log = LargeLog(0)
    event = Envelope(event_id="evt_1", event_type="order.created", timestamp=NOON, version="1.0", data={})
    good = Codec().encode(event)
    log.entries = [
        LogEntry(offset, message, None)
        for offset, message in enumerate((replace(good, body=b"{"), good, good))
    ]
    copying = Archiving(cast("Transport", log), archive, Codec(), SystemClock())

    await copying.catch_up()

    assert [entry.message.body for entry in await archive.read(0, limit=10)] == [b"{", good.body]
