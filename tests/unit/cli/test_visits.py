"""A command visits the embedded broker: its history, and whether there is one, is its workers' matter."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from eventbus.cli import main
from eventbus.embedded import EmbeddedOptions, EmbeddedTransport
from eventbus.stores.opening import store_for
from tests.conformance import drive

SERVICE = """
from eventbus import Service, subscribe


@subscribe("order.created")
async def charge(event): ...


service = Service("payment", [charge])
"""
TARGET = "visited_payment:service"
LOOKING = [
    ("status",),
    ("status", TARGET),
    ("doctor",),
    ("doctor", TARGET),
    ("topology", "diff", TARGET),
    ("dead", "list", drive.CHARGE),
    ("dead", "discard", drive.CHARGE, "--reason", "a test", "--yes"),
    ("replay", "list"),
    ("replay", drive.CHARGE, "--dry-run"),
]
PASSING = [
    ("publish", "order.noted", "{}"),
    ("relay", "--once"),
    ("archive", "--once", "--archive", "sqlite:///archive.db"),
    ("topology", "apply", TARGET),
]
A_MONTH = 30 * 86_400_000_000
URL = "sqlite:///events.db"


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with a service in it."""
    (tmp_path / "visited_payment.py").write_text(SERVICE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def log_of_a_month_ago() -> None:
    async def publish() -> None:
        transport = EmbeddedTransport("events.db", EmbeddedOptions(log_max_age=None))
        await transport.open()
        await transport.apply(drive.CHARGE_ALONE)
        await drive.send(transport, *drive.some_messages(3))
        async with transport.consume(drive.CHARGE, prefetch=3) as consumption:
            await drive.collect(consumption, 3, outcome=drive.ACK)
        await transport.close()

    asyncio.run(publish())
    with closing(sqlite3.connect("events.db")) as connection, connection:
        connection.execute("UPDATE eventbus_log SET logged_at = logged_at - ?", (A_MONTH,))


def events_of_a_month_ago() -> int:
    a_while_ago = time.time_ns() // 1000 - A_MONTH // 2
    with closing(sqlite3.connect("events.db")) as connection:
        count = "SELECT count(*) FROM eventbus_log WHERE logged_at < ?"
        found: int = connection.execute(count, (a_while_ago,)).fetchone()[0]
        return found


@pytest.mark.parametrize("verb", LOOKING + PASSING, ids=" ".join)
def test_no_command_trims_the_history(verb: tuple[str, ...]):
    log_of_a_month_ago()

    assert main([*verb, "--url", URL]) in {0, 1}  # 1: the doctor complains
    assert events_of_a_month_ago() == 3


@pytest.mark.parametrize("verb", LOOKING, ids=" ".join)
def test_a_file_that_was_named_and_is_not_there_is_told_and_not_made(
    verb: tuple[str, ...], directory: Path, capsys: pytest.CaptureFixture[str]
):
    assert main([*verb, "--url", URL]) == 4
    assert f"no worker or publisher has begun {directory}/events.db" in capsys.readouterr().err
    assert not (directory / "events.db").exists()


def test_a_file_that_is_no_brokers_does_not_become_one(
    directory: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    """Such as the store of a program whose broker is RabbitMQ, in a shell without its EVENTBUS_URL."""

    async def keep() -> None:
        store = store_for(URL)
        await store.open()
        await store.close()

    asyncio.run(keep())
    before = (directory / "events.db").read_bytes()
    monkeypatch.setenv("EVENTBUS_URL", URL)

    assert main(["status"]) == 4
    assert "no worker or publisher has begun" in capsys.readouterr().err
    assert (directory / "events.db").read_bytes() == before
