from __future__ import annotations

import asyncio

import pytest

from eventbus.waiting import done_before, to_its_end
from tests.support.eventually import eventually


class Work:
    """It takes as long as the test says."""

    def __init__(self) -> None:
        self.may_end = asyncio.Event()
        self.has_begun = False
        self.has_ended = False

    async def do(self) -> str:
        self.has_begun = True
        await self.may_end.wait()
        self.has_ended = True
        return "done"

    async def fail(self) -> None:
        await self.do()
        raise ConnectionError("the peer is gone")

    async def hold_on(self) -> None:
        """Ends with the second cancellation, as what cleans up after the first does."""
        try:
            await self.do()
        finally:
            try:
                await self.do()
            finally:
                self.has_ended = True


# --- to its end


async def test_what_is_not_cancelled_answers_or_raises():
    work = Work()
    work.may_end.set()
    assert await to_its_end(work.do()) == "done"
    with pytest.raises(ConnectionError, match="the peer is gone"):
        await to_its_end(work.fail())


async def test_who_is_cancelled_is_so_when_the_work_has_ended_however_often():
    work, hurried = Work(), list[str]()
    waiting = asyncio.create_task(to_its_end(work.do(), hurry=lambda: hurried.append("hurry")))
    await eventually(lambda: work.has_begun)
    for times in (1, 2, 3):
        waiting.cancel()
        await eventually(lambda times=times: len(hurried) == times)
        assert not waiting.done()
    work.may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert work.has_ended


async def test_a_deadline_that_falls_into_the_work_is_told_as_such_when_it_has_ended():
    work = Work()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await to_its_end(work.do(), hurry=work.may_end.set)
    assert work.has_ended


async def test_an_error_of_the_work_does_not_stand_in_for_the_cancellation(caplog: pytest.LogCaptureFixture):
    work = Work()
    waiting = asyncio.create_task(to_its_end(work.fail(), hurry=work.may_end.set))
    await eventually(lambda: work.has_begun)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert caplog.text == ""


# --- done before a stop


async def test_who_is_cancelled_again_while_the_coroutine_ends_does_not_leave_it_behind():
    work = Work()
    waiting = asyncio.create_task(done_before(asyncio.Event(), work.hold_on()))
    await eventually(lambda: work.has_begun)
    work.has_begun = False
    waiting.cancel()
    await eventually(lambda: work.has_begun)
    work.has_begun = False
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert work.has_ended
