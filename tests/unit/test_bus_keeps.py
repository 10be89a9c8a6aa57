"""What a bus keeps while the broker is away, or until a transaction is committed."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from eventbus import Bus, Envelope
from eventbus.errors import BrokerUnreachable, ConfigurationError, SendFate
from eventbus.settings import Settings
from eventbus.store import WrongTransaction
from tests.support.eventually import eventually


def bus_in(place: Path, **options: Any) -> Bus:
    settings = Settings(
        url=f"sqlite:///{place / 'events.db'}", spool=str(place / "spool.db"), spool_after=0.2
    )
    return Bus(source="shop", settings=settings, **options)


async def published(bus: Bus) -> list[str | None]:
    return [entry.message.event_id for entry in await bus.transport.history(0)]  # type: ignore[attr-defined]


def take_away(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(messages: list[object], *, timeout: float, patience: float | None = None) -> None:
        raise BrokerUnreachable(bus.transport.url, "it is away", [SendFate.NOT_SENT] * len(messages))

    monkeypatch.setattr(bus.transport, "send", refuse)


async def test_an_event_of_a_committed_transaction_is_published(tmp_path: Path):
    place = tmp_path / "shop.db"
    async with bus_in(tmp_path, store=f"sqlite:///{place}") as bus:
        connection = sqlite3.connect(place, isolation_level=None)
        connection.execute("CREATE TABLE orders (id INTEGER)")
        connection.execute("BEGIN")
        connection.execute("INSERT INTO orders VALUES (1)")
        receipt = await bus.publish("order.created", {"order_id": 1}, transaction=connection)
        assert receipt.state == "spooled"
        assert await published(bus) == []
        connection.execute("COMMIT")
        connection.close()
        await eventually(lambda: published(bus), within=10)
        assert await published(bus) == [receipt.event_id]


async def test_an_event_of_a_transaction_that_was_rolled_back_is_not(tmp_path: Path):
    place = tmp_path / "shop.db"
    async with bus_in(tmp_path, store=f"sqlite:///{place}") as bus:
        connection = sqlite3.connect(place, isolation_level=None)
        connection.execute("BEGIN")
        bus.enqueue("order.created", {"order_id": 1}, transaction=connection)
        connection.execute("ROLLBACK")
        connection.execute("BEGIN")
        second = bus.enqueue("order.created", {"order_id": 2}, transaction=connection)
        connection.execute("COMMIT")
        connection.close()
        await eventually(lambda: published(bus), within=10)
        assert await published(bus) == [second.event_id]


async def test_a_connection_without_a_transaction_is_refused_before_anything_is_written(tmp_path: Path):
    place = tmp_path / "shop.db"
    async with bus_in(tmp_path, store=f"sqlite:///{place}") as bus:
        connection = sqlite3.connect(place, isolation_level=None)
        with pytest.raises(WrongTransaction):
            await bus.publish("order.created", {"order_id": 1}, transaction=connection)
        connection.close()


async def test_two_buses_with_one_store_publish_each_its_own(tmp_path: Path):
    places, store = [tmp_path / "a", tmp_path / "b"], f"sqlite:///{tmp_path / 'shop.db'}"
    for place in places:
        place.mkdir()
    async with bus_in(places[0], store=store) as first, bus_in(places[1], store=store) as second:
        sent: dict[Bus, list[str]] = {first: [], second: []}
        for number in range(20):
            for bus, ids in sent.items():
                assert bus.kept.store is not None
                async with bus.kept.store.transaction() as transaction:
                    receipt = await bus.publish("order.created", {"n": number}, transaction=transaction)
                ids.append(receipt.event_id)

        for bus, ids in sent.items():
            await eventually(lambda bus=bus, ids=ids: is_all(bus, ids), within=10)


async def is_all(bus: Bus, ids: list[str]) -> bool:
    """More would be another bus's."""
    found = await published(bus)
    assert set(found) <= set(ids)
    return found == ids


async def test_what_a_bus_has_spooled_is_left_to_it_by_another_with_the_same_spool(tmp_path: Path):
    spool = str(tmp_path / "spool.db")
    settings = [
        Settings(url=f"sqlite:///{tmp_path / name}.db", spool=spool, spool_after=0.2) for name in "ab"
    ]
    first, second = [Bus(source="shop", settings=each, on_unavailable="spool") for each in settings]
    with pytest.MonkeyPatch.context() as patch:
        async with first:
            take_away(first, patch)
            left = await first.publish("order.created", {"order_id": 1})
    assert left.state == "spooled"

    async with second:
        with pytest.MonkeyPatch.context() as patch:
            take_away(second, patch)
            receipt = await second.publish("order.created", {"order_id": 2})
        await eventually(lambda: published(second), within=10)
        assert await published(second) == [receipt.event_id]
    async with first:
        await eventually(lambda: published(first), within=10)
        assert await published(first) == [left.event_id]


async def test_with_a_spool_events_wait_while_the_broker_is_away_and_leave_when_it_is_back(tmp_path: Path):
    async with bus_in(tmp_path, on_unavailable="spool") as bus:
        with pytest.MonkeyPatch.context() as patch:
            take_away(bus, patch)
            receipts = [await bus.publish("order.created", {"order_id": n}) for n in range(3)]
        assert [receipt.state for receipt in receipts] == ["spooled"] * 3

        async def is_drained() -> bool:
            return len(await published(bus)) == 3

        await eventually(is_drained, within=20)
        assert await published(bus) == [receipt.event_id for receipt in receipts]


async def test_a_function_can_do_the_work_while_the_broker_is_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    done: list[Envelope[Any]] = []
    async with bus_in(tmp_path, on_unavailable=done.append) as bus:
        take_away(bus, monkeypatch)
        receipt = await bus.publish("order.created", {"order_id": 1})
    assert receipt.state == "degraded"
    assert [envelope.event_id for envelope in done] == [receipt.event_id]


async def test_another_word_for_what_happens_then_is_refused(tmp_path: Path):
    with pytest.raises(ConfigurationError, match="spool"):
        bus_in(tmp_path, on_unavailable="ignore")
