"""What the archive has copied outlives the broker's own history, and is joined with it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import pytest_asyncio

from eventbus import Bus
from eventbus.archive import Archive, ArchiveMoved, Copied
from eventbus.archives.opening import archive_for
from eventbus.archiving import Archiving, Beginning, beginning
from eventbus.clock import SystemClock
from eventbus.codec import Codec
from eventbus.history import History, Place
from eventbus.settings import Settings
from eventbus.store import StoreUnavailable
from eventbus.transport import LogBounds, Message, Topology
from tests.integration.history.events import Booked, bookings
from tests.support.broker import Broker
from tests.support.eventually import eventually


@pytest.fixture
def settings(settings: Settings, tmp_path: Path) -> Settings:
    """A history that keeps little: after some thousand events the first of them are gone."""
    return settings.model_copy(
        update={"log_max_bytes": 1_000_000, "archive": f"sqlite:///{tmp_path / 'archive.db'}"}
    )


@pytest_asyncio.fixture
async def archive(settings: Settings) -> AsyncGenerator[Archive]:
    archive = archive_for(str(settings.archive))
    await archive.open()
    yield archive
    await archive.close()


def copying(bus: Bus, archive: Archive) -> Archiving:
    return Archiving(bus.transport, archive, Codec(), SystemClock())


async def numbers(history: History) -> list[int]:
    """Of all bookings, in the order of the history."""
    found: list[int] = []
    until = (await history.bounds()).end
    async with aclosing(history.read(Place(), until=until)) as pieces:
        async for piece in pieces:
            assert piece.missing == 0
            found += [Codec().decode(message).data["number"] for message in piece.messages]
    return found


async def the_log_has_lost_its_beginning(bus: Bus, first: int) -> bool:
    return (await bus.transport.log_bounds()).first > first


async def test_the_archive_and_the_log_together_are_the_whole_history(bus: Bus, archive: Archive):
    first = (await bus.transport.log_bounds()).first
    count = 0
    while not await the_log_has_lost_its_beginning(bus, first):
        await bus.publish_many(bookings(200, count))
        count += 200
        await copying(bus, archive).catch_up()
        assert count < 50_000, "the history keeps everything"
    await bus.publish_many(bookings(50, count))

    assert await numbers(await bus.history()) == list(range(count + 50))
    assert (await numbers(History(bus.transport)))[0] > 0  # the log alone has lost some


async def test_copying_twice_and_again_from_the_start_keeps_each_event_once(bus: Bus, archive: Archive):
    await bus.publish_many(bookings(100))
    first, second = copying(bus, archive), copying(bus, archive)
    await first.catch_up()
    await second.catch_up()
    assert (first.copied, second.copied) == (100, 0)

    again = bookings(1)[0]
    await bus.publish_many([again, again])
    await first.catch_up()

    assert first.copied == 101
    assert len(await archive.read(0, limit=1000)) == 101


async def test_it_follows_the_log_and_keeps_what_cannot_be_read(bus: Bus, archive: Archive):
    following = copying(bus, archive)
    task = asyncio.create_task(following.follow())
    await bus.publish_many(bookings(20))
    await bus.transport.send([Message(b"\xff no event", "account.booked")], timeout=5)
    await bus.publish(Booked(account=1, number=20))

    async def archived() -> list[bytes] | None:
        entries = await archive.read(0, limit=100)
        return [entry.message.body for entry in entries] if len(entries) == 22 else None

    bodies = await eventually(archived, within=20)
    task.cancel()
    await asyncio.wait({task})
    assert bodies[20] == b"\xff no event"


RABBITMQ = pytest.mark.parametrize("url", ["rabbitmq"], indirect=True)
"""A file's history cannot be deleted alone."""


async def make_the_log_anew(bus: Bus, rabbitmq: Broker) -> None:
    """As somebody does who wants it to keep less."""
    rabbitmq.api("DELETE", f"queues{urlsplit(bus.transport.url).path}/events.log")
    await bus.transport.apply(Topology())


@RABBITMQ
async def test_it_goes_on_with_a_log_that_is_made_anew(bus: Bus, archive: Archive, rabbitmq: Broker):
    following = copying(bus, archive)
    task = asyncio.create_task(following.follow())
    await bus.publish_many(bookings(20))
    await eventually(lambda: following.copied == 20, within=20)

    await make_the_log_anew(bus, rabbitmq)
    await bus.publish_many(bookings(5, 20))

    await eventually(lambda: following.copied == 25, within=20)
    task.cancel()
    await asyncio.wait({task})


@RABBITMQ
async def test_a_log_made_anew_is_known_as_another_one_also_when_it_has_grown(
    bus: Bus, archive: Archive, rabbitmq: Broker
):
    await bus.publish_many(bookings(5))
    await copying(bus, archive).catch_up()
    await make_the_log_anew(bus, rabbitmq)
    await copying(bus, archive).catch_up()  # when it is empty

    await bus.publish_many(bookings(20, 5))
    await copying(bus, archive).catch_up()

    assert len(await archive.read(0, limit=100)) == 25


@RABBITMQ
@pytest.mark.parametrize("read", [None, 5])
async def test_of_a_log_that_does_not_go_so_far_any_more_the_rest_is_read_and_what_is_gone_is_told(
    bus: Bus, rabbitmq: Broker, read: int | None
):
    """Whether it was deleted, or has lost its end with its only node, nobody knows."""
    history = await bus.history()
    await bus.publish_many(bookings(20))
    until = (await history.bounds()).end
    await make_the_log_anew(bus, rabbitmq)
    await bus.publish_many(bookings(5, 20))

    async with asyncio.timeout(30), aclosing(history.read(Place(offset=read), until=until)) as pieces:
        told = [piece async for piece in pieces]

    numbers = [Codec().decode(message).data["number"] for piece in told for message in piece.messages]
    assert numbers == ([*range(20, 25)] if read is None else [])
    assert 0 < sum(piece.missing for piece in told) <= until - 5
    assert told[-1].place == Place(offset=until)


async def test_what_was_appended_after_its_answer_was_waited_for_is_not_another_process(
    bus: Bus, archive: Archive, monkeypatch: pytest.MonkeyPatch
):
    """As where the server takes long to commit: it still tells the old place, and then the new one."""
    append, calls = archive.append, 0

    async def late(entries: Sequence[Copied], *, expected: int | None, next_offset: int) -> int:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise StoreUnavailable(archive.url, "it does not answer in time")
        new = await append(entries, expected=expected, next_offset=next_offset)
        if calls == 2:
            raise ArchiveMoved(archive.url, expected, next_offset)
        return new

    monkeypatch.setattr(archive, "append", late)
    await bus.publish_many(bookings(3))
    await copying(bus, archive).catch_up()
    await bus.publish_many(bookings(3, 3))
    await copying(bus, archive).catch_up()

    assert len(await archive.read(0, limit=1000)) == 6


async def test_a_second_one_that_copies_to_the_same_archive_says_so(bus: Bus, archive: Archive):
    await bus.publish_many(bookings(5))
    await copying(bus, archive).catch_up()
    one, other = copying(bus, archive), copying(bus, archive)
    tasks = [asyncio.create_task(each.follow()) for each in (one, other)]

    async def one_has_ended() -> bool:  # when both of them have begun, what comes next is copied twice
        await bus.publish_many(bookings(1))
        return any(task.done() for task in tasks)

    await eventually(one_has_ended, within=20, every=0.05)

    assert [type(task.exception()) for task in tasks if task.done()] == [ArchiveMoved]
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


@pytest.mark.parametrize(
    ("position", "bounds", "begins"),
    [
        (None, LogBounds(7, 100), Beginning("first")),
        (50, LogBounds(7, 100), Beginning(50)),
        (50, LogBounds(60, 100), Beginning(60, missing=10)),
        (100, LogBounds(0, 100), Beginning(100)),
        (500, LogBounds(0, 100), Beginning("first", is_another_log=True)),
    ],
)
def test_it_begins_where_it_was_if_the_log_still_goes_so_far(
    position: int | None, bounds: LogBounds, begins: Beginning
):
    assert beginning(position, bounds) == begins
