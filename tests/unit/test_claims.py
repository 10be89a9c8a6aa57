"""The inbox as one process uses it: grouped, patient with a store that is away, and never two at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
import structlog

from eventbus import claims as claims_module
from eventbus.claims import Claims
from eventbus.store import Claim, InboxAnswer, InboxKey, StoreUnavailable
from tests.support.eventually import eventually
from tests.support.scripted_inbox import ScriptedInbox

ONE, TWO = InboxKey("shop.charge", "1"), InboxKey("shop.charge", "2")


@pytest.fixture
def inbox() -> ScriptedInbox:
    return ScriptedInbox()


@pytest.fixture
async def claims(inbox: ScriptedInbox) -> AsyncGenerator[Claims]:
    async with opened(inbox) as claims:
        yield claims


@pytest.fixture
def stop() -> asyncio.Event:
    return asyncio.Event()


@pytest.fixture
def logs() -> Iterator[list[structlog.typing.EventDict]]:
    with structlog.testing.capture_logs() as lines:
        yield lines


@asynccontextmanager
async def opened(inbox: ScriptedInbox) -> AsyncGenerator[Claims]:
    claims = Claims(inbox, keep=timedelta(days=7))
    claims.start()
    yield claims
    await asyncio.wait_for(claims.stop(), 5)


async def some_turns() -> None:
    """Of the event loop: whoever could go on without an answer has."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_what_is_asked_in_one_turn_goes_to_the_store_together(
    claims: Claims, inbox: ScriptedInbox, stop: asyncio.Event
):
    keys = [InboxKey("shop.charge", str(number)) for number in range(50)]

    first, second = await asyncio.gather(claims.claim(keys[:20], stop), claims.claim(keys[20:], stop))
    await asyncio.gather(*(claims.complete([key]) for key in keys))

    assert [*first, *second] == [Claim.OURS] * 50
    assert inbox.exchanges == [{"claim": keys}, {"complete": keys}]


async def test_two_questions_are_under_way_and_what_waits_is_the_next(
    claims: Claims, inbox: ScriptedInbox, stop: asyncio.Event
):
    keys = [InboxKey("shop.charge", str(number)) for number in range(4)]
    inbox.answering.clear()
    asking = []
    for key in keys:
        asking.append(asyncio.create_task(claims.claim([key], stop)))
        await some_turns()
    assert inbox.exchanges == [{"claim": keys[:1]}, {"claim": keys[1:2]}]

    inbox.answering.set()

    assert await asyncio.wait_for(asyncio.gather(*asking), 5) == [[Claim.OURS]] * 4
    assert inbox.exchanges[2:] == [{"claim": keys[2:]}]


async def test_who_asks_in_the_moment_in_which_all_questions_end_is_answered(
    claims: Claims, inbox: ScriptedInbox, stop: asyncio.Event
):
    async def claim_both() -> list[Claim]:
        return [*await claims.claim([ONE], stop), *await claims.claim([TWO], stop)]

    inbox.answering.clear()
    asking = [asyncio.create_task(claim_both())]
    await some_turns()
    other = asyncio.create_task(claims.claim([InboxKey("shop.charge", "3")], stop))
    await some_turns()
    assert len(inbox.exchanges) == 2

    inbox.answering.set()

    assert await asyncio.wait_for(asyncio.gather(*asking, other), 5) == [[Claim.OURS] * 2, [Claim.OURS]]


async def test_a_claim_never_overtakes_the_release_before_it(
    claims: Claims, inbox: ScriptedInbox, stop: asyncio.Event
):
    await claims.claim([ONE], stop)
    inbox.answering.clear()
    claims.release([ONE])
    await eventually(lambda: {"release": [ONE]} in inbox.exchanges)
    again = asyncio.create_task(claims.claim([ONE], stop))
    other = asyncio.create_task(claims.claim([TWO], stop))
    await some_turns()
    assert inbox.exchanges[-1] == {"release": [ONE]}

    inbox.answering.set()

    assert await asyncio.wait_for(asyncio.gather(again, other), 5) == [[Claim.OURS]] * 2
    assert inbox.exchanges[-1] == {"claim": [ONE, TWO]}


async def test_what_was_handled_is_not_handled_again(claims: Claims, stop: asyncio.Event):
    assert await claims.claim([ONE], stop) == [Claim.OURS]
    await claims.complete([ONE])

    assert await claims.claim([ONE], stop) == [Claim.HANDLED]


async def test_of_two_copies_in_one_question_one_is_claimed(claims: Claims, stop: asyncio.Event):
    assert await claims.claim([ONE, TWO, ONE], stop) == [Claim.OURS, Claim.OURS, Claim.HELD]


async def test_a_copy_waits_for_the_first_ones_success(claims: Claims, stop: asyncio.Event):
    await claims.claim([ONE], stop)
    assert await claims.claim([ONE], stop) == [Claim.HELD]
    copy = asyncio.create_task(claims.claim_held(ONE, stop))
    await claims.claim([TWO], stop)  # the copy has had its chance
    assert not copy.done()

    await claims.complete([ONE])

    assert await asyncio.wait_for(copy, 5) is Claim.HANDLED


async def test_a_copy_has_its_turn_when_the_first_one_fails(claims: Claims, stop: asyncio.Event):
    await claims.claim([ONE], stop)
    copies = [asyncio.create_task(claims.claim_held(ONE, stop)) for _ in range(3)]
    await claims.claim([TWO], stop)

    claims.release([ONE])
    done, waiting = await asyncio.wait(copies, timeout=5, return_when=asyncio.FIRST_COMPLETED)

    assert [task.result() for task in done] == [Claim.OURS]
    assert len(waiting) == 2
    await claims.complete([ONE])
    assert [await asyncio.wait_for(each, 5) for each in waiting] == [Claim.HANDLED] * 2


async def test_what_another_process_is_handling_is_asked_for_again(
    claims: Claims, inbox: ScriptedInbox, stop: asyncio.Event
):
    inbox.held = {ONE}
    assert await claims.claim([ONE, TWO], stop) == [Claim.HELD, Claim.OURS]
    waiting = asyncio.create_task(claims.claim_held(ONE, stop))
    await eventually(lambda: len(inbox.exchanges) >= 2)
    assert not waiting.done()

    inbox.held = set()

    assert await asyncio.wait_for(waiting, 5) is Claim.OURS


async def test_while_the_store_is_away_everything_waits_and_it_is_told_once(
    logs: list[structlog.typing.EventDict], claims: Claims, inbox: ScriptedInbox, stop: asyncio.Event
):
    inbox.is_away = True
    first, second = (asyncio.create_task(claims.claim([key], stop)) for key in (ONE, TWO))
    await eventually(lambda: len(inbox.exchanges) >= 3)
    assert not first.done()
    assert not second.done()

    inbox.is_away = False

    assert await asyncio.wait_for(asyncio.gather(first, second), 5) == [[Claim.OURS]] * 2
    assert [line["event"] for line in logs] == ["store.unavailable", "store.available"]
    assert "the disk is gone" in logs[0]["error"]


async def test_who_waits_for_a_store_that_is_away_lets_go_when_it_has_to_stop(
    claims: Claims, inbox: ScriptedInbox, stop: asyncio.Event
):
    inbox.is_away = True
    waiting = asyncio.create_task(claims.claim([ONE], stop))
    await eventually(lambda: inbox.exchanges)

    stop.set()
    claims.heed_stops()

    assert await asyncio.wait_for(waiting, 5) == [Claim.HELD]


async def test_what_was_claimed_for_somebody_who_has_gone_is_released(
    claims: Claims, inbox: ScriptedInbox, stop: asyncio.Event
):
    inbox.answering.clear()
    waiting = asyncio.create_task(claims.claim([ONE], stop))
    await eventually(lambda: inbox.exchanges)

    waiting.cancel()
    await asyncio.wait({waiting})
    inbox.answering.set()

    await eventually(lambda: {"release": [ONE]} in inbox.exchanges)
    assert await asyncio.wait_for(claims.claim([ONE], asyncio.Event()), 5) == [Claim.OURS]


async def test_to_complete_raises_when_it_must_end_before_the_store_is_back(
    inbox: ScriptedInbox, stop: asyncio.Event
):
    async with opened(inbox) as claims:
        await claims.claim([ONE], stop)
        inbox.is_away = True
        completing = asyncio.create_task(claims.complete([ONE]))
        await eventually(lambda: len(inbox.exchanges) >= 2)

    with pytest.raises(StoreUnavailable):
        await completing


async def test_a_claim_that_was_lost_is_told(
    logs: list[structlog.typing.EventDict], claims: Claims, inbox: ScriptedInbox, stop: asyncio.Event
):
    inbox.lost = {ONE}
    await claims.claim([ONE], stop)
    await claims.complete([ONE])

    (line,) = logs
    assert (line["event"], line["subscription"], line["event_id"]) == ("inbox.claim_lost", "shop.charge", "1")


async def test_the_aged_are_forgotten_a_little_at_a_time(inbox: ScriptedInbox):
    inbox.purged = [0, 3, claims_module.PURGE_AT_ONCE, claims_module.PURGE_AT_ONCE]

    async with opened(inbox):
        # Until one found less than it may take; the next look is minutes away.
        await eventually(lambda: inbox.purged == [0])


async def test_a_bug_in_the_store_ends_those_who_wait(
    claims: Claims, inbox: ScriptedInbox, stop: asyncio.Event, monkeypatch: pytest.MonkeyPatch
):
    async def broken(**_: object) -> InboxAnswer:
        raise ZeroDivisionError

    monkeypatch.setattr(inbox, "exchange", broken)

    with pytest.raises(ZeroDivisionError):
        await asyncio.wait_for(claims.claim([ONE], stop), 5)
