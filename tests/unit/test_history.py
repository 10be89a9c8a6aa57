"""Which part of the history is wanted, what is told of what is gone, and reading ahead."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import pytest

from eventbus import Event
from eventbus.archives.sqlite.archive import SqliteArchive
from eventbus.archiving import Archiving
from eventbus.clock import SystemClock
from eventbus.codec import Codec
from eventbus.embedded import EmbeddedTransport
from eventbus.history import History, Period, Piece, Place, Wanted, read_ahead
from eventbus.transport import Message, Transport
from tests.support.eventually import eventually
from tests.support.handling import NOON, wrapped


def piece(number: int, *, missing: int = 0) -> Piece:
    return Piece([Message(b"%d" % number, "order.created")], Place(offset=number), missing)


class Source:
    def __init__(self, count: int, error: Exception | None = None) -> None:
        self.read = 0
        self.is_closed = False
        self._count = count
        self._error = error

    async def pieces(self) -> AsyncGenerator[Piece]:
        try:
            for number in range(self._count):
                self.read += 1
                yield piece(number, missing=1)
            if self._error is not None:
                raise self._error
        finally:
            self.is_closed = True


async def test_everything_comes_in_its_order_and_what_came_meanwhile_comes_as_one():
    source = Source(10)
    bodies: list[bytes] = []
    missing = 0
    async with aclosing(read_ahead(source.pieces(), most=4)) as pieces:
        first = await anext(pieces)
        await eventually(lambda: source.read >= 4)
        together = await anext(pieces)
        for each in (first, together):
            bodies += [message.body for message in each.messages]
            missing += each.missing
        assert len(together.messages) > 1
        assert together.place == Place(offset=len(bodies) - 1)
        async for each in pieces:
            bodies += [message.body for message in each.messages]
            missing += each.missing

    assert bodies == [b"%d" % number for number in range(10)]
    assert missing == 10


async def test_it_reads_no_further_ahead_than_it_is_told():
    source = Source(100)
    async with aclosing(read_ahead(source.pieces(), most=3)) as pieces:
        await anext(pieces)
        await eventually(lambda: source.read >= 4)

        assert source.read <= 3 + 3  # what was given out, and what waits

    assert source.is_closed


async def test_an_error_comes_after_what_was_read_before_it():
    source = Source(3, ValueError("the log is gone"))
    read: list[Message] = []

    async def read_all() -> None:
        async with aclosing(read_ahead(source.pieces())) as pieces:
            async for each in pieces:
                read.extend(each.messages)

    with pytest.raises(ValueError, match="the log is gone"):
        await read_all()

    assert len(read) == 3
    assert source.is_closed


class OrderCreated(Event, type="order.created"):
    pass


ORDER = wrapped(OrderCreated(), event_id="evt_1", key="user-7", correlation_id="flow-3")


@pytest.mark.parametrize(
    ("wanted", "is_picked"),
    [
        (Wanted(), True),
        (Wanted(("order.*",), ("*.created",)), True),
        (Wanted(("order.*",), ("*.paid",)), False),
        (Wanted(("payment.#",)), False),
        (Wanted(key="user-7", correlation_id="flow-3"), True),
        (Wanted(key="user-8"), False),
        (Wanted(correlation_id="flow-4"), False),
        (Wanted(period=Period(since=NOON)), True),
        (Wanted(period=Period(since=NOON + timedelta(seconds=1))), False),
        (Wanted(period=Period(until=NOON + timedelta(seconds=1))), True),
        (Wanted(period=Period(until=NOON)), False),
    ],
)
def test_what_is_wanted_is_of_the_types_the_key_the_flow_and_the_period(wanted: Wanted, is_picked: bool):
    picked, unreadable = wanted.pick([Codec().encode(ORDER)], Codec())
    assert (len(picked), unreadable) == (is_picked, [])


def test_what_cannot_be_read_is_told_if_its_type_is_wanted():
    broken = Message(b"\xff", "order.created")
    assert [len(found) for found in Wanted(("order.*",)).pick([broken], Codec())] == [0, 1]
    assert Wanted(("payment.*",)).pick([broken], Codec()) == ([], [])


async def test_history_since_the_first_day_of_the_calendar_is_all_of_it():
    transport = EmbeddedTransport(":memory:")
    await transport.open()
    await transport.send([Message(b"1", "order.created")], timeout=5)
    since = datetime.min.replace(tzinfo=UTC)

    async with aclosing(History(transport).read(Place(), until=2, since=since)) as pieces:
        found = [message.body async for piece in pieces for message in piece.messages]
    await transport.close()

    assert found == [b"1"]


@pytest.mark.parametrize(
    ("removed", "until", "missing", "left"), [(3, 11, 2, 7), (9, 6, 4, 0), (0, 11, 0, 9)]
)
async def test_what_retention_has_removed_is_told_and_no_more_than_was_to_be_read(
    removed: int, until: int, missing: int, left: int
):
    """Ten entries, 1 to 10; reading goes on at 2."""
    transport = EmbeddedTransport(":memory:")
    await transport.open()
    await transport.send([Message(b"%d" % number, "order.created") for number in range(1, 11)], timeout=5)
    gone = 'DELETE FROM eventbus_log WHERE "offset" <= ?'
    await transport.write(lambda connection: connection.execute(gone, (removed,)).rowcount, durable=False)

    async with aclosing(History(transport).read(Place(offset=2), until=until)) as pieces:
        found = [piece async for piece in pieces]
    await transport.close()

    assert sum(piece.missing for piece in found) == missing
    assert sum(len(piece.messages) for piece in found) == left


@pytest.fixture
async def numbered() -> AsyncIterator[EmbeddedTransport]:
    """Ten entries, 1 to 10."""
    transport = EmbeddedTransport(":memory:")
    await transport.open()
    await transport.send([Message(b"%d" % number, "order.created") for number in range(1, 11)], timeout=5)
    yield transport
    await transport.close()


async def remove(transport: EmbeddedTransport, first: int, last: int) -> None:
    """As retention does with what no queue refers to."""
    gone = 'DELETE FROM eventbus_log WHERE "offset" BETWEEN ? AND ?'
    await transport.write(lambda connection: connection.execute(gone, (first, last)).rowcount, durable=False)


async def everything(pieces: AsyncGenerator[Piece]) -> tuple[list[bytes], int]:
    """The bodies, and how many were missing."""
    found = [piece async for piece in pieces]
    return [each.body for piece in found for each in piece.messages], sum(piece.missing for piece in found)


@pytest.mark.parametrize(
    ("place", "missing", "left"),
    [
        (Place(offset=2), 3, [2, 6, 7, 8, 9, 10]),
        (Place(offset=4), 2, [6, 7, 8, 9, 10]),
        (Place(offset=6), 0, [6, 7, 8, 9, 10]),
        (Place(offset=1), 3, [1, 2, 6, 7, 8, 9, 10]),
        (Place(), 0, [1, 2, 6, 7, 8, 9, 10]),  # nobody had come so far when they went
    ],
)
async def test_what_is_gone_behind_an_entry_that_stayed_is_told_to_who_had_come_so_far(
    numbered: EmbeddedTransport, place: Place, missing: int, left: list[int]
):
    await remove(numbered, 3, 5)

    async with aclosing(History(numbered).read(place, until=11)) as pieces:
        assert await everything(pieces) == ([b"%d" % number for number in left], missing)


@pytest.mark.parametrize(
    ("place", "missing", "left"), [(Place(offset=8), 9, 3), (Place(), 9, 10), (Place(offset=15), 5, 0)]
)
async def test_of_a_log_that_has_lost_its_end_the_rest_is_read(
    numbered: EmbeddedTransport, place: Place, missing: int, left: int
):
    async with aclosing(History(numbered).read(place, until=20)) as pieces:
        found, gone = await everything(pieces)

    assert (len(found), gone) == (left, missing)


@pytest.mark.parametrize("place", [Place(offset=1), Place()])
async def test_a_reader_that_retention_overtakes_is_told_what_it_has_not_seen(
    numbered: EmbeddedTransport, place: Place
):
    await numbered.send([Message(b"later", "order.created")] * 500, timeout=5)
    await remove(numbered, 4, 6)  # before the reading
    async with aclosing(History(numbered).read(place, until=511)) as pieces:
        first = await anext(pieces)
        while first.place.offset is None or first.place.offset < 20:
            first = await anext(pieces)
        assert first.place.offset < 300

        await remove(numbered, 2, 400)
        _, missing = await everything(pieces)

    assert missing == 401 - first.place.offset


async def test_what_is_gone_in_the_middle_of_the_log_comes_from_the_archive(
    numbered: EmbeddedTransport, tmp_path: Path
):
    archive = SqliteArchive(f"sqlite:///{tmp_path / 'archive.db'}", timeout=10.0)
    await archive.open()
    copying = Archiving(cast("Transport", numbered), archive, Codec(), SystemClock())
    await copying.catch_up()
    await numbered.send([Message(b"11", "order.created")], timeout=5)
    await remove(numbered, 3, 9)

    async with aclosing(History(numbered, archive).read(Place(offset=2), until=12)) as pieces:
        bodies, missing = await everything(pieces)
    await archive.close()

    assert missing == 0
    assert sorted(set(bodies)) == sorted(b"%d" % number for number in range(1, 12))


async def test_what_a_log_has_lost_with_its_end_comes_from_the_archive(
    numbered: EmbeddedTransport, tmp_path: Path
):
    archive = SqliteArchive(f"sqlite:///{tmp_path / 'archive.db'}", timeout=10.0)
    await archive.open()
    await Archiving(cast("Transport", numbered), archive, Codec(), SystemClock()).catch_up()
    shorter = EmbeddedTransport(":memory:")
    await shorter.open()
    await shorter.send([Message(b"%d" % number, "order.created") for number in range(1, 6)], timeout=5)

    async with aclosing(History(shorter, archive).read(Place(offset=3), until=11)) as pieces:
        bodies, missing = await everything(pieces)
    await shorter.close()
    await archive.close()

    assert missing == 0
    assert set(bodies) == {b"%d" % number for number in range(1, 11)}


async def test_an_archive_tells_what_is_gone_behind_an_entry_that_stayed(
    numbered: EmbeddedTransport, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    archive = SqliteArchive(f"sqlite:///{tmp_path / 'archive.db'}", timeout=10.0)
    await archive.open()
    await remove(numbered, 3, 5)  # before anybody copied
    copying = Archiving(cast("Transport", numbered), archive, Codec(), SystemClock())
    await copying.catch_up()
    await numbered.send([Message(b"later", "order.created")] * 10, timeout=5)
    await remove(numbered, 9, 14)

    assert "archive.gap" not in caplog.text
    await copying.catch_up()
    await archive.close()

    (told,) = [record.getMessage() for record in caplog.records]
    assert "archive.gap" in told
    assert "entries=4" in told
    assert copying.copied == 7 + 6
