"""A verb that needs nothing but the broker opens no store: whose events wait there is not known to it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from eventbus.cli import main
from eventbus.embedded import EmbeddedTransport, path_from_url
from eventbus.outcome import DeadLetter, Reason
from eventbus.transport import Message
from tests.conformance import drive

DEAD = "evt_1"
BODY = b"""{"event_id": "evt_1", "event_type": "order.created", "timestamp": "2026-02-15T10:00:00Z",
"version": "1.0", "data": {}}"""
NEEDS_THE_BROKER_ONLY = [
    ("publish", "order.noted", "{}"),
    ("status",),
    ("doctor", "--output", "json"),
    ("archive", "--once", "--archive", "sqlite:///archive.db"),
    ("dead", "list", drive.CHARGE),
    ("dead", "list", drive.CHARGE, "--group"),
    ("dead", "export", drive.CHARGE),
    ("dead", "show", DEAD, drive.CHARGE),
    ("dead", "stats", drive.CHARGE),
    ("dead", "redrive", drive.CHARGE, "--dry-run"),
    ("dead", "redrive", drive.CHARGE, "--yes"),
    ("dead", "redrive", drive.CHARGE, "--edit", "--id", DEAD, "--dry-run"),
    ("dead", "discard", drive.CHARGE, "--reason", "a test", "--yes"),
]


def broker_with_a_dead_letter(url: str) -> None:
    async def give_up() -> None:
        transport = EmbeddedTransport(path_from_url(url))
        await transport.open()
        await transport.apply(drive.CHARGE_ALONE)
        await drive.send(transport, Message(BODY, drive.ORDER_CREATED, event_id=DEAD))
        async with transport.consume(drive.CHARGE, prefetch=1) as consumption:
            await drive.collect(consumption, 1, outcome=DeadLetter(Reason.REJECTED, "no"))
        await transport.close()

    asyncio.run(give_up())


@pytest.mark.parametrize("verb", NEEDS_THE_BROKER_ONLY, ids=" ".join)
def test_the_store_of_the_environment_stays_closed(
    verb: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    url, store = f"sqlite:///{tmp_path}/events.db", tmp_path / "store.db"
    broker_with_a_dead_letter(url)
    monkeypatch.setenv("EVENTBUS_STORE", f"sqlite:///{store}")
    monkeypatch.setenv("EDITOR", "true")

    assert main([*verb, "--url", url]) == 0
    assert not store.exists()


@pytest.mark.parametrize("verb", [("list", drive.CHARGE), ("redrive", drive.CHARGE, "--yes")], ids=" ".join)
def test_a_store_that_is_away_keeps_nobody_from_dead_letters(
    verb: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    url = f"sqlite:///{tmp_path}/events.db"
    broker_with_a_dead_letter(url)
    monkeypatch.setenv("EVENTBUS_STORE", "postgresql://shop@127.0.0.1:1/shop")

    assert main(["dead", *verb, "--url", url]) == 0
