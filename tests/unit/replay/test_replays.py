"""Replays whose page changes, or whose broker takes nothing, in the middle of a question."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from eventbus import Bus, Envelope, Event, Service, subscribe
from eventbus.errors import SendFailed, SendFate
from eventbus.history import History, Piece, Place
from eventbus.ids import new_event_id
from eventbus.replay import InvalidReplay, NoSuchReplay, ReplayRequest, ReplayRunning, Replays
from eventbus.store import StoreUnavailable
from tests.support.eventually import eventually


class Booked(Event, type="account.booked"):
    number: int


@subscribe(Booked)
async def ledger(event: Booked) -> None: ...


LEDGER = ReplayRequest("bank.ledger")


@pytest_asyncio.fixture
async def bus(tmp_path: Path) -> AsyncGenerator[Bus]:
    async with Bus(f"sqlite:///{tmp_path / 'events.db'}", source="test") as bus:
        await bus.transport.apply(Service("bank", [ledger]).topology)
        yield bus


@pytest_asyncio.fixture
async def replays(bus: Bus) -> Replays:
    return await bus.replays()


def booked(number: int, at: datetime) -> Envelope[Booked]:
    return Envelope.wrap(Booked(number=number), event_id=new_event_id(), timestamp=at)


async def begun(bus: Bus, replays: Replays) -> str:
    """The id of one that was interrupted soon."""
    await bus.publish_many([booked(n, datetime.now(UTC)) for n in range(50)])
    prepared = await replays.prepare(replace(LEDGER, rate=5))
    running = asyncio.create_task(replays.run(prepared))

    async def is_known() -> str:
        return (await replays.find(prepared.id)).id

    await eventually(is_known, within=5, despite=NoSuchReplay)
    running.cancel()
    await asyncio.wait({running})
    return prepared.id


async def test_one_of_another_bus_is_not_resumed_here_and_keeps_nobody_waiting(
    bus: Bus, replays: Replays, tmp_path: Path
):
    replay_id = await begun(bus, replays)
    async with Bus(f"sqlite:///{tmp_path}/other.db", source="test", store=bus.settings.url) as other:
        await other.transport.apply(Service("bank", [ledger]).topology)
        elsewhere = await other.replays()
        with pytest.raises(InvalidReplay, match="of another bus, sqlite:here"):
            await elsewhere.resume(replay_id)

        running = asyncio.create_task(replays.resume(replay_id, rate=5))
        await eventually(lambda: is_running(replays, replay_id), within=5)
        assert (await elsewhere.run(await elsewhere.prepare(LEDGER))).state == "done"
        running.cancel()
        await asyncio.wait({running})


async def is_running(replays: Replays, replay_id: str) -> bool:
    return (await replays.find(replay_id)).state == "running"


async def test_one_that_ended_a_moment_ago_is_neither_cancelled_nor_resumed(bus: Bus, replays: Replays):
    replay_id = await begun(bus, replays)
    before = await replays.find(replay_id)
    await replays.resume(replay_id, rate=1000)
    late = await bus.replays()

    async def found(_: str) -> Any:
        return before  # what somebody has seen who was interrupted then

    late.find = found  # type: ignore[method-assign]

    with pytest.raises(InvalidReplay, match="is done"):
        await late.cancel(replay_id)
    with pytest.raises(InvalidReplay, match="is done"):
        await late.resume(replay_id)
    assert (await replays.find(replay_id)).state == "done"


async def test_one_that_waits_for_its_broker_can_be_cancelled(bus: Bus, replays: Replays):
    await bus.publish(Booked(number=1))
    send = bus.transport.send

    async def refusing(messages: Any, *, timeout: float) -> None:
        if messages[0].queue is not None:
            raise SendFailed("the queue is full", [SendFate.NOT_SENT])
        await send(messages, timeout=timeout)

    bus.transport.send = refusing  # type: ignore[method-assign]
    prepared = await replays.prepare(LEDGER)
    running = asyncio.create_task(replays.run(prepared))

    async def asked() -> bool:
        await replays.cancel(prepared.id)
        return True

    await eventually(asked, within=5, despite=NoSuchReplay)
    async with asyncio.timeout(10):
        assert (await running).state == "cancelled"


async def test_who_ends_it_while_the_store_is_away_sees_that_it_was_he(bus: Bus, replays: Replays):
    await bus.publish_many([booked(n, datetime.now(UTC)) for n in range(50)])
    prepared = await replays.prepare(replace(LEDGER, rate=5))
    running = asyncio.create_task(replays.run(prepared))

    async def is_known() -> str:
        return (await replays.find(prepared.id)).id

    await eventually(is_known, within=5, despite=NoSuchReplay)

    async def failing(*_: Any) -> Any:
        away()

    replays._means.logbook.write = failing  # type: ignore[method-assign]
    running.cancel()
    await asyncio.wait({running})

    assert running.cancelled()


def away(*_: Any) -> Any:
    raise StoreUnavailable("sqlite:///events.db", "the disk is full")


async def test_one_that_ends_while_the_store_is_away_ends_when_it_is_back(
    bus: Bus, replays: Replays, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("eventbus.waiting._FIRST_PAUSE", 0.01)
    logbook = replays._means.logbook
    write, tried = logbook.write, 0

    async def failing(kind: str, name: str, text: str) -> Any:
        nonlocal tried
        tried += '"done"' in text
        return away() if tried in (1, 2) else await write(kind, name, text)

    monkeypatch.setattr(logbook, "write", failing)
    await bus.publish(Booked(number=1))

    assert (await replays.run(await replays.prepare(LEDGER))).state == "done"

    assert tried == 3
    (replay,) = await replays.all()
    assert replay.state == "done"


@pytest.mark.parametrize("was_left", [True, False], ids=["left, and not told so", "not left"])
async def test_what_could_not_be_left_is_somebody_s_to_go_on_with(
    bus: Bus, replays: Replays, monkeypatch: pytest.MonkeyPatch, was_left: bool
):
    monkeypatch.setattr("eventbus.leaving._FIRST_PAUSE", 0.2)
    logbook = replays._means.logbook
    leave, is_away, left = logbook.leave, True, 0

    async def failing(kind: str, name: str) -> None:
        nonlocal left
        if was_left or not is_away:
            await leave(kind, name)
            left += not is_away
        if is_away:
            away()

    monkeypatch.setattr(logbook, "leave", failing)
    replay_id = await begun(bus, replays)
    is_away = False
    if not was_left:
        await eventually(lambda: left == 2, within=5)  # the replay, and the turn of its subscription

    resumed = asyncio.create_task((await bus.replays()).resume(replay_id, rate=50))

    async def is_running() -> bool:
        return (await replays.find(replay_id)).state == "running"

    await eventually(is_running, within=5)
    with pytest.raises(ReplayRunning):
        await replays.run(await replays.prepare(LEDGER))
    assert (await resumed).state == "done"


async def cancelled_in_its_last_step(
    replays: Replays, monkeypatch: pytest.MonkeyPatch, answers: asyncio.Event
) -> None:
    """While it lets go of its page and its turn, which the store does only when it `answers`."""
    logbook = replays._means.logbook
    leave, asked = logbook.leave, 0

    async def slow(kind: str, name: str) -> None:
        nonlocal asked
        asked += 1
        if asked <= 2:
            await answers.wait()
        await leave(kind, name)

    monkeypatch.setattr(logbook, "leave", slow)
    running = asyncio.create_task(replays.run(await replays.prepare(LEDGER)))
    await eventually(lambda: asked == 1, within=5)
    running.cancel()
    await eventually(lambda: asked == 2, within=5)
    running.cancel()
    await asyncio.wait({running})
    assert running.cancelled()


async def test_one_that_is_cancelled_in_its_last_step_leaves_its_turn_to_other_processes(
    tmp_path: Path, replays: Replays, monkeypatch: pytest.MonkeyPatch
):
    answers = asyncio.Event()
    await cancelled_in_its_last_step(replays, monkeypatch, answers)
    answers.set()
    async with Bus(f"sqlite:///{tmp_path / 'events.db'}", source="test") as elsewhere:
        others = await elsewhere.replays()

        async def replayed() -> str:
            return (await others.run(await others.prepare(LEDGER))).state

        assert await eventually(replayed, within=5, despite=ReplayRunning) == "done"


async def test_one_that_is_cancelled_in_its_last_step_is_followed_by_another_at_once(
    replays: Replays, monkeypatch: pytest.MonkeyPatch
):
    await cancelled_in_its_last_step(replays, monkeypatch, asyncio.Event())

    assert (await replays.run(await replays.prepare(LEDGER))).state == "done"


async def test_one_whose_archive_goes_away_in_the_middle_waits_for_it_and_sends_the_rest(
    bus: Bus, replays: Replays, monkeypatch: pytest.MonkeyPatch
):
    """And a broker whose history cannot be read, which is the same to it."""
    await bus.publish_many([booked(n, datetime.now(UTC)) for n in range(50)])
    read, failures = History.read, [StoreUnavailable("the archive", "is away"), SendFailed("no mark", ())]

    async def breaking(self: History, place: Place, **period: Any) -> AsyncGenerator[Piece]:
        if len(failures) == 1:
            raise failures.pop()
        async for piece in read(self, place, **period):
            yield piece
            if failures:
                raise failures.pop()

    monkeypatch.setattr(History, "read", breaking)

    ended = await replays.run(await replays.prepare(LEDGER))

    assert not failures
    assert (ended.state, ended.sent, ended.read) == ("done", 50, 50)
    (stats,) = await bus.transport.stats(["bank.ledger"])
    assert stats.ready == 50 + 50


async def test_a_publisher_whose_clock_is_ahead_is_replayed_too(bus: Bus, replays: Replays):
    await bus.publish_many([booked(1, datetime.now(UTC) + timedelta(minutes=5))])

    done = await replays.run(await replays.prepare(LEDGER))

    assert done.sent == 1
