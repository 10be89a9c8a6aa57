"""What was put waits, whole and in order, until the broker has it."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from eventbus.errors import InvalidEvent
from eventbus.transport import Message
from tests.conformance.store import drive
from tests.conformance.store.kinds import SHARED_SQL, SQL, quick

if TYPE_CHECKING:
    from pathlib import Path

    from eventbus.store import Outbox
    from tests.conformance.store.kinds import Place


@SQL
async def test_what_was_put_is_taken_in_its_order(outbox: Outbox) -> None:
    put = await drive.put(outbox, *drive.some_messages(30))
    put += await drive.put(outbox, *drive.some_messages(30))

    assert drive.ids(await drive.waiting(outbox)) == put


@SQL
async def test_no_more_is_taken_than_asked_for(outbox: Outbox) -> None:
    put = await drive.put(outbox, *drive.some_messages(10))

    assert drive.ids(await drive.waiting(outbox, limit=4)) == put[:4]


@SQL
async def test_what_was_sent_is_gone_and_the_rest_comes_back_in_its_order(outbox: Outbox) -> None:
    put = await drive.put(outbox, *drive.some_messages(6))

    async with outbox.take(10) as taken:
        await taken.sent([taken.entries[1], taken.entries[4]])

    assert drive.ids(await drive.waiting(outbox)) == [put[0], put[2], put[3], put[5]]


@SQL
async def test_nothing_is_lost_when_a_relay_fails(outbox: Outbox) -> None:
    put = await drive.put(outbox, *drive.some_messages(3))

    async def fail() -> None:
        async with outbox.take(10) as taken:
            await taken.sent(taken.entries[:1])
            raise ConnectionError("the broker is away")

    with pytest.raises(ConnectionError):
        await fail()

    assert drive.ids(await drive.waiting(outbox)) == put[1:]


@SQL
async def test_a_message_comes_out_as_it_went_in(outbox: Outbox) -> None:
    message = Message(
        body=bytes(range(256)),
        routing_key="order.created",
        headers={
            "text": "ä\0\ud800",
            "nested": {"$": [1, 2.5, None, True, Decimal("1.50"), b"\xff"]},
            "at": datetime(2025, 2, 15, 10, 0, 0, 123456, tzinfo=UTC),
        },
        event_id="evt_1",
        event_type="order.created",
        content_type="application/json",
        timestamp=datetime(2025, 2, 15, 10, 0, 0, 123456, tzinfo=UTC),
        source="order",
        correlation_id="flow-1",
        queue="payment.charge",
    )
    bare = Message(b"", "a", content_type=None)

    await outbox.put([message, bare], ["order-1", None])

    entries = await drive.waiting(outbox)
    assert [entry.message for entry in entries] == [message, bare]
    assert [entry.key for entry in entries] == ["order-1", None]


@SQL
async def test_a_header_that_cannot_travel_is_refused_and_nothing_is_put(outbox: Outbox) -> None:
    with pytest.raises(InvalidEvent, match="header odd"):
        await drive.put(outbox, drive.a_message(), Message(b"", "a", headers={"odd": object()}))

    assert await drive.waiting(outbox) == []


@SQL
async def test_putting_nothing_puts_nothing(outbox: Outbox) -> None:
    await outbox.put([], [])

    assert await drive.waiting(outbox) == []


@SQL
async def test_what_is_left_of_a_delay_shrinks_while_it_waits(outbox: Outbox) -> None:
    began = time.monotonic()
    await drive.put(outbox, replace(drive.a_message(), delay=3600.0), replace(drive.a_message(), delay=0.05))
    await asyncio.sleep(0.1)

    long, short = await drive.waiting(outbox)

    assert 3600.0 - (time.monotonic() - began) - 0.05 <= long.message.delay <= 3599.95
    assert short.message.delay == 0.0


@SQL
async def test_the_backlog_counts_what_waits(outbox: Outbox) -> None:
    empty = await outbox.backlog()
    assert (empty.events, empty.bytes, empty.oldest_age) == (0, 0, None)

    await drive.put(outbox, *drive.some_messages(3))
    await asyncio.sleep(0.05)
    full = await outbox.backlog()
    await drive.drain(outbox)
    drained = await outbox.backlog()

    assert (full.events, full.bytes) == (3, 3 * len(drive.a_message().body))
    assert full.oldest_age is not None
    assert 0.04 <= full.oldest_age < 10
    assert (drained.events, drained.oldest_age) == (0, None)


@SQL
async def test_a_put_of_this_process_is_heard_of_at_once(outbox: Outbox) -> None:
    await drive.drain(outbox)
    waiting = asyncio.create_task(outbox.changed(within=30))
    await asyncio.sleep(0.05)

    await drive.put(outbox, drive.a_message())
    await asyncio.wait_for(waiting, 10)


@SQL
async def test_what_was_put_before_somebody_waits_is_heard_of(outbox: Outbox) -> None:
    await drive.drain(outbox)
    await drive.put(outbox, drive.a_message())

    await asyncio.wait_for(outbox.changed(within=30), 10)


@SQL
async def test_waiting_ends_when_nothing_comes(outbox: Outbox) -> None:
    await drive.drain(outbox)
    began = time.monotonic()

    await outbox.changed(within=0.3)

    assert 0.25 < time.monotonic() - began < 10


@SHARED_SQL
async def test_a_put_of_another_process_is_heard_of_soon(
    place: Place, outbox: Outbox, tmp_path: Path
) -> None:
    await drive.drain(outbox)
    waiting = asyncio.create_task(outbox.changed(within=60))

    async with place.process("put", "1", log=tmp_path / "log") as process:
        await process.says("put", within=30)
        await asyncio.wait_for(waiting, 20)

    assert len(await drive.waiting(outbox)) == 1


@SHARED_SQL
async def test_entries_that_are_kept_are_not_taken_again(place: Place) -> None:
    async with place.opened(quick(keep_sent=timedelta(days=1))) as keeping:
        assert keeping.outbox is not None
        await drive.put(keeping.outbox, *drive.some_messages(3))
        assert len(await drive.drain(keeping.outbox)) == 3

        assert await drive.waiting(keeping.outbox) == []
        assert (await keeping.outbox.backlog()).events == 0
