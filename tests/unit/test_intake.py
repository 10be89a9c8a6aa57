"""How deliveries are given out to the handlers of one subscription."""

from __future__ import annotations

import asyncio

import pytest

from eventbus import Event
from eventbus.headers import REPLAY_ID
from eventbus.intake import Intake
from eventbus.once import Readable
from tests.support.eventually import eventually
from tests.support.handling import delivered, wrapped


class OrderCreated(Event, type="order.created"):
    pass


def admitted(count: int, attempt: int = 1, replay: str | None = None) -> list[Readable]:
    events = [wrapped(OrderCreated()) for _ in range(count)]
    headers = {} if replay is None else {REPLAY_ID: replay}
    return [Readable(delivered(each, attempt=attempt, headers=headers), each) for each in events]


async def take(intake: Intake) -> list[Readable]:
    return await asyncio.wait_for(intake.take(), 5)


async def test_without_a_batch_deliveries_are_given_out_one_by_one_and_in_order():
    intake, given = Intake(), admitted(3)
    intake.put(given[:2])
    intake.put(given[2:])
    assert [await take(intake) for _ in range(3)] == [[each] for each in given]


async def test_a_full_batch_is_given_out_at_once():
    intake, given = Intake(size=2, within=60), admitted(4)
    intake.put(given)
    assert [await take(intake), await take(intake)] == [given[:2], given[2:]]


async def test_a_batch_is_given_out_when_its_time_is_over():
    intake, given = Intake(size=100, within=0.05), admitted(3)
    loop = asyncio.get_running_loop()
    began = loop.time()
    intake.put(given)
    assert await take(intake) == given
    assert loop.time() - began >= 0.05


async def test_the_time_of_a_batch_begins_with_its_first_delivery():
    intake, given = Intake(size=100, within=0.05), admitted(1)
    taking = asyncio.create_task(intake.take())
    await asyncio.sleep(0.1)
    assert not taking.done()
    intake.put(given)
    assert await asyncio.wait_for(taking, 5) == given


async def test_what_a_replay_brings_is_in_no_batch_with_anything_else():
    intake = Intake(size=10, within=0.05)
    new, replayed, others = admitted(2), admitted(2, replay="rpl_1"), admitted(1, replay="rpl_2")
    intake.put([*new, *replayed, *others])
    assert [await take(intake) for _ in range(3)] == [new, replayed, others]


async def test_what_comes_while_a_batch_fills_joins_it():
    intake, given = Intake(size=3, within=60), admitted(3)
    taking = asyncio.create_task(intake.take())
    for each in given:
        intake.put([each])
        await asyncio.sleep(0)
    assert await asyncio.wait_for(taking, 5) == given


async def test_a_batch_of_no_time_takes_what_is_there():
    intake, given = Intake(size=100, within=0), admitted(3)
    intake.put(given)
    assert await take(intake) == given


async def test_two_workers_fill_one_batch_after_the_other_so_that_they_get_full():
    intake, given = Intake(size=2, within=60), admitted(4)
    taking = [asyncio.create_task(intake.take()) for _ in range(2)]
    for each in given:
        intake.put([each])
        await asyncio.sleep(0)
    assert [await asyncio.wait_for(task, 5) for task in taking] == [given[:2], given[2:]]


async def test_what_has_failed_before_is_given_out_alone_and_at_once():
    intake, again = Intake(size=3, within=60), admitted(2, attempt=2)
    intake.put(again)
    assert [await take(intake), await take(intake)] == [[again[0]], [again[1]]]


async def test_what_has_failed_before_ends_the_batch_that_was_being_filled():
    intake, given, again = Intake(size=9, within=60), admitted(5), admitted(1, attempt=2)
    intake.put([*given[:2], *again, *given[2:]])
    assert [await take(intake), await take(intake)] == [given[:2], again]
    intake.put(admitted(6))
    assert len(await take(intake)) == 9


async def test_what_was_kept_apart_is_dropped_too_when_it_is_closed():
    intake = Intake(size=9, within=60)
    kept = admitted(1, attempt=2)
    intake.put([*admitted(1), *kept])
    assert len(await take(intake)) == 1
    intake.close()
    assert await take(intake) == []
    assert intake.dropped == kept


@pytest.mark.parametrize("size", [1, 2])
async def test_closing_wakes_every_worker_and_gives_nothing_out_any_more(size: int):
    intake = Intake(size=size, within=60)
    taking = [asyncio.create_task(intake.take()) for _ in range(5)]
    await asyncio.sleep(0)
    intake.close()
    assert [await asyncio.wait_for(task, 5) for task in taking] == [[]] * 5
    intake.put(admitted(3))
    assert await take(intake) == []


@pytest.mark.parametrize("size", [1, 3])
async def test_what_waits_when_it_is_closed_is_dropped(size: int):
    intake = Intake(size=size, within=60)
    given = admitted(2)
    intake.put(given)
    if size > 1:
        filling = asyncio.create_task(intake.take())
        await asyncio.sleep(0)
        intake.close()
        assert await asyncio.wait_for(filling, 5) == []
    else:
        intake.close()
    assert await take(intake) == []
    assert await take(intake) == []
    assert intake.dropped == given


async def test_a_batch_that_is_cut_off_while_it_fills_is_dropped_too():
    intake, given = Intake(size=9, within=60), admitted(2)
    intake.put(given)
    filling = asyncio.create_task(intake.take())
    await eventually(lambda: intake.dropped == [])  # it has taken them
    filling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await filling
    assert intake.dropped == given
