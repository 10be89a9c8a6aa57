"""A relative URL names a file of the directory in which the bus was made, wherever its process goes."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from eventbus import Bus, Service, Transaction, subscribe
from eventbus.settings import Settings
from tests.support.eventually import eventually


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Where the process is, and where it goes."""
    begun, gone_to = tmp_path / "begun", tmp_path / "gone_to"
    begun.mkdir()
    gone_to.mkdir()
    monkeypatch.chdir(begun)
    return begun, gone_to


@subscribe("order.paid")
async def note(event: dict[str, int], transaction: Transaction) -> None:
    await transaction.execute("INSERT INTO paid VALUES (?)", event["order_id"])


def rows(file: Path, table: str) -> int:
    with closing(sqlite3.connect(file)) as connection:
        count: int = connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608  ours
        return count


@pytest.mark.parametrize("store", [None, "sqlite:///shop.db"])
@pytest.mark.parametrize("is_open", [False, True], ids=["before it opens", "before it runs"])
async def test_what_a_handler_writes_is_in_the_store_that_was_named(
    places: tuple[Path, Path], store: str | None, is_open: bool
):
    begun, gone_to = places
    file = begun / ("shop.db" if store else "my events.db")
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE paid (order_id INTEGER)")
    bus = Bus("sqlite:///my events.db", source="shop", store=store, settings=Settings())
    if not is_open:
        os.chdir(gone_to)
    async with bus:
        os.chdir(gone_to)
        async with bus.running(Service("payment", [note])):
            await bus.publish("order.paid", {"order_id": 1})
            await eventually(lambda: rows(file, "paid") == 1)
            assert rows(file, "eventbus_owner") == 1
    assert list(gone_to.iterdir()) == []


async def test_the_usual_store_beside_rabbitmq_is_where_the_bus_was_made(places: tuple[Path, Path]):
    begun, gone_to = places
    bus = Bus("amqp://guest@127.0.0.1:1/", source="shop", settings=Settings())
    os.chdir(gone_to)
    await bus.kept.open()
    await bus.kept.service_store()
    await bus.kept.close()
    assert (begun / "eventbus.db").exists()
    assert list(gone_to.iterdir()) == []


async def test_so_are_the_spool_and_the_archive(places: tuple[Path, Path]):
    begun, gone_to = places
    settings = Settings(archive="sqlite:///archive.db", spool="spool.db")
    bus = Bus("sqlite:///events.db", source="shop", on_unavailable="spool", settings=settings)
    os.chdir(gone_to)
    async with bus:
        await bus.history()
        made = {"archive.db", "events.db", "spool.db"}
        assert made <= {file.name for file in begun.iterdir()}
    assert list(gone_to.iterdir()) == []
