"""What takes long to be made for a service outlives those who wait for it, and not the service."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from eventbus import Depends, dependency, subscribe
from eventbus.dependency import SharedLifetime
from eventbus.outcome import Ack, RetryAfter
from tests.support.dependencies import Diary, OrderCreated, handler_of, run
from tests.support.eventually import eventually
from tests.support.handling import Bench


class Slow:
    """A factory that takes as long as a test wants."""

    def __init__(self) -> None:
        self.diary = Diary()
        self.may_end = asyncio.Event()

    async def __call__(self) -> AsyncIterator[str]:
        self.diary.note("begun")
        try:
            await self.may_end.wait()
            yield "made"
        finally:
            self.diary.note("ended")


async def nobody_waits_any_more(slow: Slow, lifetime: SharedLifetime) -> None:
    """Two have waited for what is still being made."""
    waiting = [asyncio.create_task(run(handler_of(Depends(slow)), lifetime)) for _ in range(2)]
    await eventually(lambda: "begun" in slow.diary.lines)
    for task in waiting:
        task.cancel()
    await asyncio.wait(waiting)


async def test_a_making_goes_on_when_nobody_waits_any_more_and_the_next_delivery_finds_it_made():
    slow, lifetime = Slow(), SharedLifetime()
    await nobody_waits_any_more(slow, lifetime)
    slow.may_end.set()
    assert await run(handler_of(Depends(slow)), lifetime) == "made"
    assert slow.diary.lines == ["begun"]
    await lifetime.close()
    assert slow.diary.lines == ["begun", "ended"]


async def test_a_handler_whose_time_was_up_while_it_waited_says_for_what_and_its_retry_finds_it_made():
    begun, may_end = Diary(), asyncio.Event()

    async def load_model() -> str:
        begun.made += 1
        await may_end.wait()
        return "made"

    bench = Bench(subscribe(OrderCreated, name="handler", timeout=0.05)(handler_of(Depends(load_model))))
    outcome = await bench.outcome(OrderCreated())
    assert isinstance(outcome, RetryAfter)
    assert "shop.handler did not finish within 0.05 s: it was waiting for what" in outcome.error
    assert "load_model makes." in outcome.error
    may_end.set()
    assert isinstance(await bench.outcome(OrderCreated()), Ack)
    assert begun.made == 1


async def test_a_factory_that_hangs_fails_after_a_while_even_though_deliveries_keep_waiting_for_it(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(dependency, "LONGEST_MAKING", 0.01)

    async def hangs() -> None:
        await asyncio.Event().wait()

    with pytest.raises(TimeoutError, match=r"hangs has made nothing within 0\.01 s"):
        await run(handler_of(Depends(hangs)))


async def test_a_factory_that_hangs_is_ended_though_nobody_waits_and_the_next_delivery_begins_anew(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(dependency, "LONGEST_MAKING", 0.1)
    slow, lifetime = Slow(), SharedLifetime()
    await nobody_waits_any_more(slow, lifetime)
    await eventually(lambda: len(asyncio.all_tasks()) == 1)
    assert slow.diary.lines == ["begun", "ended"]
    slow.may_end.set()
    assert await run(handler_of(Depends(slow)), lifetime) == "made"
    assert slow.diary.lines == ["begun", "ended", "begun"]


async def test_a_timeout_of_the_factorys_own_stays_what_it_is():
    async def connect() -> None:
        raise TimeoutError("no answer")

    with pytest.raises(TimeoutError, match=r"^no answer$"):
        await run(handler_of(Depends(connect)))


async def test_closing_ends_what_is_still_being_made():
    slow, lifetime = Slow(), SharedLifetime()
    waiting = asyncio.create_task(run(handler_of(Depends(slow)), lifetime))
    await eventually(lambda: slow.diary.lines == ["begun"])
    await lifetime.close()
    assert slow.diary.lines == ["begun", "ended"]
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_closing_ends_what_nobody_waits_for_any_more():
    slow, lifetime = Slow(), SharedLifetime()
    await nobody_waits_any_more(slow, lifetime)
    others = asyncio.all_tasks()
    await lifetime.close()
    assert slow.diary.lines == ["begun", "ended"]
    assert [task for task in others if not task.done()] == [asyncio.current_task()]


async def test_what_is_made_while_the_service_is_closed_is_cleaned_up():
    diary = Diary()

    async def stubborn() -> AsyncIterator[str]:
        diary.note("begun")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            diary.note("goes on")
        yield "made"
        diary.note("cleaned up")

    lifetime = SharedLifetime()
    waiting = asyncio.create_task(run(handler_of(Depends(stubborn)), lifetime))
    await eventually(lambda: diary.lines == ["begun"])
    await lifetime.close()
    assert diary.lines == ["begun", "goes on", "cleaned up"]
    await asyncio.wait([waiting])
