"""The file that a relay sends from is damaged while it works, and mended."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from eventbus.outbox import Relay
from eventbus.stores.sqlite.store import SqliteStore
from eventbus.transport import Message
from tests.support.eventually import eventually
from tests.support.picky import PickyTransport

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(f"sqlite:///{path}")
    await store.open()
    yield store
    await store.close()


class Damage:
    """To the page of a file where SQLite keeps the newest id, until it is mended."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            find = "SELECT rootpage FROM sqlite_master WHERE name = 'sqlite_sequence'"
            page: int = connection.execute(find).fetchone()[0]
            self._size: int = connection.execute("PRAGMA page_size").fetchone()[0]
            self._place = (page - 1) * self._size
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._whole = path.read_bytes()[self._place :][: self._size]
        self._write(b"\xff" * self._size)
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:  # so that it is read anew
            connection.execute("UPDATE eventbus_owner SET pid = pid")

    def mend(self) -> None:
        self._write(self._whole)

    def _write(self, page: bytes) -> None:
        with self._path.open("r+b") as file:
            file.seek(self._place)
            file.write(page)


async def test_damage_while_the_relay_rests_is_told_of_and_once_it_is_mended_the_relay_goes_on(
    store: SqliteStore, path: Path, caplog: pytest.LogCaptureFixture
):
    broker = PickyTransport()
    relay = Relay(store.outbox, broker.as_transport(), where="test", draw=lambda: 0.0)
    await store.outbox.put([Message(b"{}", "order.created", event_id="evt_1")], [None])
    await relay.start()
    await eventually(lambda: broker.has == ["evt_1"] and relay._is_resting)

    damage = Damage(path)
    await eventually(lambda: "relay.waiting" in caplog.text)
    damage.mend()

    await store.outbox.put([Message(b"{}", "order.created", event_id="evt_2")], [None])
    await eventually(lambda: broker.has == ["evt_1", "evt_2"])
    await relay.stop()
