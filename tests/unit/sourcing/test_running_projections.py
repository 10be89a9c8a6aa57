"""A projection that runs goes on whatever happens, and says so where it cannot."""

from __future__ import annotations

import asyncio
from importlib import import_module
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from eventbus import Bus, Transaction
from eventbus.sourcing import EventStore, Projecting, Projection, Recorded, projecting, projects
from tests.conformance.store.streams import Deposited, deposit
from tests.support.eventually import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from eventbus.event_store import Streams


@pytest_asyncio.fixture
async def events() -> AsyncGenerator[EventStore]:
    async with Bus("sqlite://:memory:", source="bank") as bus:
        yield EventStore(bus, [Deposited])


class Noting(Projection, name="noting"):
    """Tries what it is given before it notes an event, in memory."""

    def __init__(self) -> None:
        self.tries = 0
        self.noted: list[int] = []

    @projects
    async def on_deposited(self, recorded: Recorded[Deposited], transaction: Transaction) -> None:
        self.tries += 1
        await self.before(recorded)
        self.noted.append(recorded.version)

    async def before(self, recorded: Recorded[Deposited]) -> None: ...


async def test_a_projection_goes_on_after_any_number_of_failures(
    events: EventStore, monkeypatch: pytest.MonkeyPatch
):
    class Failing(Noting, name="failing"):
        fails = True

        async def before(self, recorded: Recorded[Deposited]) -> None:
            if self.fails:
                raise ValueError("not yet")

    monkeypatch.setattr(import_module("eventbus.sourcing.projecting"), "_LONGEST_PAUSE", 0.0)
    failing = Failing()
    await events.append("account-1", deposit(), 0)

    async with projecting(events, failing) as (running,):
        await eventually(lambda: failing.tries > 2 * 1030, within=20)  # a batch that fails is tried twice
        failing.fails = False
        await eventually(lambda: running.position == 1)

    assert failing.noted == [1]


async def test_a_projection_that_ends_by_itself_is_told(events: EventStore, caplog: pytest.LogCaptureFixture):
    class Ending(Noting, name="ending"):
        async def before(self, recorded: Recorded[Deposited]) -> None:
            raise GeneratorExit

    await events.append("account-1", deposit(), 0)

    async with projecting(events, Ending()) as (running,):
        await eventually(lambda: running.problem)

    assert running.problem == "it has ended: GeneratorExit"
    assert [line for line in caplog.messages if line.startswith("projection.ended projection=ending")]


async def test_a_projection_that_is_ended_with_its_block_is_not_told_of(
    events: EventStore, caplog: pytest.LogCaptureFixture
):
    async with projecting(events, Noting()) as (running,):
        await events.append("account-1", deposit(), 0)
        await eventually(lambda: running.position == 1)

    assert running.problem is None
    assert not caplog.messages


async def test_a_cancellation_of_a_methods_own_is_a_failure_like_any_other(
    events: EventStore, caplog: pytest.LogCaptureFixture
):
    class Awaiting(Noting, name="awaiting"):
        cancels = True

        async def before(self, recorded: Recorded[Deposited]) -> None:
            if recorded.version == 2 and self.cancels:
                answer = asyncio.get_running_loop().create_future()
                answer.cancel()
                await answer

    awaiting = Awaiting()
    await events.append("account-1", [deposit(), deposit(), deposit()], 0)

    async with projecting(events, awaiting) as (running,):
        await eventually(lambda: running.problem)
        assert "something that it awaited was cancelled" in str(running.problem)
        assert running.position == 1
        awaiting.cancels = False
        await eventually(lambda: running.position == 3)

    assert len([line for line in caplog.messages if line.startswith("projection.failed")]) == 1


async def test_a_cancellation_of_what_a_projection_waits_for_is_a_failure_too(
    events: EventStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    streams, cancelled = await events.streams(), asyncio.get_running_loop().create_future()
    cancelled.cancel()
    answers = [cancelled]

    async def opened() -> Streams:
        return await answers.pop() if answers else streams

    monkeypatch.setattr(events, "streams", opened)

    async with projecting(events, Noting()) as (running,):
        await eventually(lambda: "projection.resumed" in " ".join(caplog.messages))
        await events.append("account-1", deposit(), 0)
        await eventually(lambda: running.position == 1)

    assert caplog.messages[0].startswith("projection.failed")


async def test_to_cancel_who_catches_up_is_no_failure(events: EventStore):
    began = asyncio.Event()

    class Hanging(Noting, name="hanging"):
        async def before(self, recorded: Recorded[Deposited]) -> None:
            began.set()
            await asyncio.Event().wait()

    await events.append("account-1", deposit(), 0)
    catching_up = asyncio.create_task(Projecting(events, Hanging()).catch_up())
    await began.wait()

    catching_up.cancel()

    with pytest.raises(asyncio.CancelledError):
        await catching_up
