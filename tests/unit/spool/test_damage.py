"""What is damaged is told of and kept apart; everything else goes on."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from eventbus.clock import SystemClock
from eventbus.errors import ConfigurationError
from eventbus.outbox import Relay
from eventbus.store import Outbox
from eventbus.stores.spooling import opened_spool
from eventbus.transport import Message
from tests.support.picky import PickyTransport


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[Outbox]:
    store = await opened_spool(path, SystemClock(), "")
    try:
        assert store.outbox is not None
        yield store.outbox
    finally:
        await store.close()


async def put(path: Path, count: int) -> None:
    messages = [Message(b"x" * 500, "order.created", event_id=str(number)) for number in range(count)]
    async with opened(path) as outbox:
        await outbox.put(messages, [None] * count)


async def drained(path: Path) -> list[str]:
    broker = PickyTransport()
    async with opened(path) as outbox:
        await Relay(outbox, broker.as_transport(), where="test").drain()
    return broker.has


def set_aside(path: Path) -> list[Path]:
    return sorted(path.parent.glob(f"{path.name}.damaged-*"))


async def test_a_sound_file_is_opened_as_it_is(tmp_path: Path):
    path = tmp_path / "spool.db"
    await put(path, 10)
    assert await drained(path) == [str(number) for number in range(10)]
    assert set_aside(path) == []


async def test_a_file_that_is_no_database_is_set_aside_and_a_new_one_begun(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    path = tmp_path / "spool.db"
    path.write_bytes(b"torn" * 1000)
    await put(path, 3)
    assert await drained(path) == ["0", "1", "2"]
    (kept,) = set_aside(path)
    assert kept.read_bytes() == b"torn" * 1000
    assert f"kept_as={kept}" in caplog.text


async def test_a_file_that_was_overwritten_in_the_middle_is_set_aside(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    path = tmp_path / "spool.db"
    await put(path, 500)
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(size // 2 // 4096 * 4096)
        file.write(b"\xff" * 8192)
    await put(path, 2)
    assert await drained(path) == ["0", "1"]
    assert len(set_aside(path)) == 1
    assert "spool.damaged" in caplog.text


async def test_a_record_that_was_torn_is_told_of_and_the_others_are_sent(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    path = tmp_path / "spool.db"
    await put(path, 5)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE eventbus_outbox SET body = x'00' WHERE event_id = '2'")
    assert await drained(path) == ["0", "1", "3", "4"]
    assert "outbox.damaged" in caplog.text
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT event_id FROM eventbus_outbox").fetchall() == [("2",)]


async def test_a_place_where_no_file_can_be_is_told_when_it_is_opened(tmp_path: Path):
    with pytest.raises(ConfigurationError, match="is a directory"):
        await opened_spool(tmp_path, SystemClock(), "")
    with pytest.raises(ConfigurationError, match="does not exist"):
        await opened_spool(tmp_path / "nowhere" / "spool.db", SystemClock(), "")
