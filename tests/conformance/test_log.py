"""Every event is in the history once, in order, whoever subscribes and however often it was retried."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from eventbus.outcome import DeadLetter, Reason, RetryAfter
from tests.conformance import drive, sizes
from tests.conformance.drive import CHARGE, CHARGE_ALONE
from tests.support.eventually import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from eventbus.transport import LogEntry, Message, Transport
    from tests.conformance.kinds import TransportFactory


async def test_the_log_from_first_holds_everything_in_order(transport: Transport) -> None:
    await transport.apply(CHARGE_ALONE)
    sent = [*drive.some_messages(30), *drive.some_messages(10, "nobody.subscribes")]
    await drive.send(transport, *sent)

    entries = await drive.history(transport, "first", len(sent))

    assert drive.ids(entries) == drive.ids(sent)
    assert [entry.message.body for entry in entries] == [message.body for message in sent]
    assert [entry.message.routing_key for entry in entries] == [message.routing_key for message in sent]
    offsets = [entry.offset for entry in entries]
    assert offsets == sorted(set(offsets))


async def test_the_log_is_the_same_however_often_it_is_read(transport: Transport) -> None:
    await transport.apply(CHARGE_ALONE)
    await drive.send(transport, *drive.some_messages(10))

    first, again = await asyncio.gather(*(drive.history(transport, "first", 10) for _ in range(2)))

    assert again == first


async def test_the_log_from_an_offset_begins_with_that_entry(transport: Transport) -> None:
    await transport.apply(CHARGE_ALONE)
    sent = drive.some_messages(30)
    for start in range(0, 30, 10):
        await drive.send(transport, *sent[start : start + 10])
    offsets = [entry.offset for entry in await drive.history(transport, "first", 30)]

    for begin in (0, 7, 29):
        entries = await drive.history(transport, offsets[begin], 30 - begin)
        assert drive.ids(entries) == drive.ids(sent[begin:])


async def test_the_log_from_a_time_leaves_out_what_was_logged_before(transport: Transport) -> None:
    await transport.apply(CHARGE_ALONE)
    before, after = drive.some_messages(5), drive.some_messages(5)
    await drive.send(transport, *before)
    since = datetime.now(UTC) + timedelta(seconds=1)
    # A second on either side, because a broker may know whole seconds only.
    await eventually(lambda: datetime.now(UTC) > since + timedelta(seconds=1))
    await drive.send(transport, *after)

    assert drive.ids(await drive.history(transport, since, 5)) == drive.ids(after)


@pytest.mark.parametrize("year", [1, 1969, 2020])
async def test_the_log_from_a_time_before_everything_is_all_of_it(transport: Transport, year: int) -> None:
    await transport.apply(CHARGE_ALONE)
    sent = drive.some_messages(5)
    await drive.send(transport, *sent)

    assert drive.ids(await drive.history(transport, datetime(year, 1, 1, tzinfo=UTC), 5)) == drive.ids(sent)


async def test_the_log_from_next_holds_all_that_is_sent_after_it_was_entered_and_nothing_else(
    transport: Transport,
) -> None:
    await transport.apply(CHARGE_ALONE)
    await drive.send(transport, *drive.some_messages(10))
    for _ in range(10):
        sent = drive.some_messages(3)
        async with asyncio.timeout(sizes.PATIENCE), transport.log("next") as batches:
            await drive.send(transport, *sent)
            entries: list[LogEntry] = []
            while len(entries) < len(sent):
                entries += await anext(batches)
        assert drive.ids(entries) == drive.ids(sent)


async def test_a_log_that_is_entered_and_not_read_is_left_at_once(transport: Transport) -> None:
    await transport.apply(CHARGE_ALONE)
    async with asyncio.timeout(sizes.PATIENCE), transport.log("first"):
        pass


async def test_the_log_waits_for_more_at_its_end(transport: Transport) -> None:
    await transport.apply(CHARGE_ALONE)
    sent = drive.some_messages(6)
    async with _following(transport) as entries:
        for end in (2, 4, 6):
            await drive.send(transport, *sent[end - 2 : end])
            await eventually(_ids_are(entries, sent[:end]), within=sizes.PATIENCE)


@pytest.mark.parametrize("transport_factory", ["rabbitmq"], indirect=True)
async def test_the_log_goes_on_after_the_loss_of_the_connection(
    transport_factory: TransportFactory, transport: Transport
) -> None:
    await transport.apply(CHARGE_ALONE)
    sent = drive.some_messages(20)
    async with _following(transport) as entries:
        await drive.send(transport, *sent[:10])
        await eventually(_ids_are(entries, sent[:10]), within=sizes.PATIENCE)
        await transport_factory.cut()
        await drive.send(transport, *sent[10:])
        await eventually(_ids_are(entries, sent), within=sizes.PATIENCE)


async def test_retries_dead_letters_and_copies_for_one_queue_are_no_history(transport: Transport) -> None:
    await transport.apply(CHARGE_ALONE)
    sent, last = drive.a_message(), drive.a_message()
    await drive.send(transport, sent)
    await drive.send(transport, drive.a_message(queue=CHARGE))
    async with transport.consume(CHARGE, prefetch=10) as consumption:
        await drive.collect(consumption, 2, outcome=RetryAfter(0.0, "no"))
        await drive.collect(consumption, 2, outcome=DeadLetter(Reason.EXHAUSTED, "no"))
    await drive.send(transport, last)

    assert drive.ids(await drive.history(transport, "first", 2)) == drive.ids([sent, last])


async def test_a_delayed_event_is_logged_once_when_it_is_due(transport: Transport) -> None:
    await transport.apply(CHARGE_ALONE)
    delayed, at_once, last = drive.a_message(delay=1.0), drive.a_message(), drive.a_message()
    await drive.send(transport, delayed, at_once)
    async with transport.consume(CHARGE, prefetch=10) as consumption:
        await drive.collect(consumption, 2)
    await drive.send(transport, last)

    assert drive.ids(await drive.history(transport, "first", 3)) == drive.ids([at_once, delayed, last])


async def test_entries_know_when_they_were_logged_if_the_broker_does(transport: Transport) -> None:
    await transport.apply(CHARGE_ALONE)
    began = datetime.now(UTC)
    await drive.send(transport, drive.a_message())

    (entry,) = await drive.history(transport, "first", 1)

    off = timedelta(seconds=2)
    assert entry.logged_at is None or began - off <= entry.logged_at <= datetime.now(UTC) + off


async def test_the_end_of_the_log_parts_what_was_sent_before_from_what_is_sent_after(
    transport: Transport,
) -> None:
    await transport.apply(CHARGE_ALONE)
    before, after = drive.some_messages(30), drive.some_messages(5)
    await drive.send(transport, *before)
    end = (await transport.log_bounds()).end
    await drive.send(transport, *after)

    assert drive.ids(await drive.stretch(transport, "first", end)) == drive.ids(before)
    assert drive.ids(await drive.history(transport, end, 5)) == drive.ids(after)


async def test_the_log_begins_with_its_oldest_entry(transport: Transport) -> None:
    await transport.apply(CHARGE_ALONE)
    empty = await transport.log_bounds()
    assert empty.first <= empty.end
    sent = drive.some_messages(3)
    await drive.send(transport, *sent)

    bounds = await transport.log_bounds()

    entries = await drive.stretch(transport, bounds.first, bounds.end)
    assert drive.ids(entries) == drive.ids(sent)
    assert bounds.first <= entries[0].offset


async def test_a_stretch_of_the_log_that_is_empty_ends_at_once(transport: Transport) -> None:
    await transport.apply(CHARGE_ALONE)
    end = (await transport.log_bounds()).end
    assert await drive.stretch(transport, "first", end) == []
    await drive.send(transport, *drive.some_messages(3))

    assert await drive.stretch(transport, "first", end) == []
    assert await drive.stretch(transport, end, end) == []
    assert await drive.stretch(transport, end + 100, end) == []


async def test_a_stretch_between_two_ends_holds_what_was_sent_between_them(transport: Transport) -> None:
    await transport.apply(CHARGE_ALONE)
    ends: list[int] = []
    sent = drive.some_messages(9)
    for at in (0, 3, 6):
        await drive.send(transport, *sent[at : at + 3])
        ends.append((await transport.log_bounds()).end)

    assert drive.ids(await drive.stretch(transport, ends[0], ends[1])) == drive.ids(sent[3:6])


async def test_a_stretch_of_the_log_from_a_time_ends_where_nothing_is_as_late(transport: Transport) -> None:
    await transport.apply(CHARGE_ALONE)
    sent = drive.some_messages(3)
    await drive.send(transport, *sent)
    end = (await transport.log_bounds()).end

    later = await drive.stretch(transport, datetime.now(UTC) + timedelta(minutes=5), end)

    assert drive.ids(later) in ([], drive.ids(sent))  # where a broker's clock may be behind ours, all of it


@asynccontextmanager
async def _following(transport: Transport) -> AsyncGenerator[list[LogEntry]]:
    """A list that the log is read into, from its first entry on."""
    entries: list[LogEntry] = []

    async def read() -> None:
        async with transport.log("first") as batches:
            async for batch in batches:
                entries.extend(batch)

    reading = asyncio.create_task(read())
    try:
        yield entries
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


def _ids_are(entries: list[LogEntry], sent: list[Message]) -> Callable[[], bool]:
    return lambda: drive.ids(entries) == drive.ids(sent)
