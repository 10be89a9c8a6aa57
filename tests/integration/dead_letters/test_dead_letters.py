"""What an operator does with dead letters, on both transports."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from eventbus.codec import Codec
from eventbus.dead_letters import AuditLog, DeadLetters, Selection, correct
from eventbus.errors import TopologyError
from eventbus.headers import ATTEMPT, ERROR, FAILED_AT, FIRST_FAILED_AT, REASON
from eventbus.outcome import DeadLetter, Reason
from eventbus.registry import Registry
from eventbus.transport import QueueStats
from tests.conformance import drive
from tests.conformance.drive import CHARGE, NOTIFY
from tests.support.eventually import eventually

REFUSED = DeadLetter(Reason.REJECTED, "CardDeclined: still no such card")


async def test_looking_and_redriving_a_few_keeps_the_order_of_the_others(place):
    sent = await place.give_up(30)
    letters = DeadLetters(place.transport, CHARGE)

    await letters.find(sent[12])
    await letters.redrive(Selection(ids=frozenset({sent[3], sent[20]})))
    assert await place.dead() == [id for id in sent if id not in {sent[3], sent[20]}]

    await letters.redrive(limit=4)
    assert await place.dead() == [*sent[5:20], *sent[21:]]
    assert await place.dead() == [*sent[5:20], *sent[21:]]


async def test_a_redriven_event_reaches_its_own_subscription_alone_and_starts_anew(place):
    sent = await place.give_up(2)
    before = drive.ids(await drive.contents(place.transport, NOTIFY))
    (dead, _) = await place.transport.dead_letters(CHARGE, limit=2)

    moved = await DeadLetters(place.transport, CHARGE).redrive()

    assert (moved.done, moved.failures, moved.missing) == (2, [], 0)
    assert before == sent
    assert await drive.contents(place.transport, NOTIFY) == []
    again = await drive.contents(place.transport, CHARGE)
    assert drive.ids(again) == sent
    assert [delivery.attempt for delivery in again] == [1, 1]
    assert replace(again[0].message, headers={}) == replace(dead.message, headers={})
    assert again[0].message.headers[FIRST_FAILED_AT] == dead.message.headers[FIRST_FAILED_AT]
    assert not {ATTEMPT, REASON, ERROR, FAILED_AT} & again[0].message.headers.keys()


async def test_what_fails_again_meanwhile_is_not_redriven_again(place):
    await place.give_up(40)
    letters = DeadLetters(place.transport, CHARGE)

    async with place.transport.consume(CHARGE, prefetch=10) as consumption:
        failing = asyncio.create_task(drive.collect(consumption, 40, outcome=REFUSED))
        moved = await letters.redrive(rate=200)
        await failing

    assert moved.done == 40
    await eventually(lambda: place.has_dead(40), within=30)


async def test_what_is_given_up_after_it_began_stays_though_it_comes_with_the_others(place, monkeypatch):
    await place.give_up(10)
    look = place.transport.stats

    async def look_and_give_one_more_up(queues: Sequence[str]) -> Sequence[QueueStats]:
        found = await look(queues)
        monkeypatch.undo()
        await place.give_up(1)
        return found

    monkeypatch.setattr(place.transport, "stats", look_and_give_one_more_up)
    moved = await DeadLetters(place.transport, CHARGE).redrive()

    assert moved.done == 10
    await eventually(lambda: place.has_dead(1), within=30)


async def test_those_that_another_consumer_holds_are_told_of_and_not_waited_for(place):
    await place.give_up(10)
    letters = DeadLetters(place.transport, CHARGE)

    async with place.transport.consume(f"{CHARGE}.dead", prefetch=4) as other:
        held = await drive.take(other, 4)
        moved = await letters.redrive()
        assert moved.done == 6

        async def one_is_left() -> bool:  # the broker forgets the other a moment after it has gone
            return (await letters.stats()).dead_consumers == 1

        await eventually(one_is_left, within=30)
        assert drive.ids(held) == ["evt_00000", "evt_00001", "evt_00002", "evt_00003"]


async def test_a_subscription_that_does_not_exist_is_an_error(place):
    await place.give_up(1)

    with pytest.raises(TopologyError):
        await DeadLetters(place.transport, "payment.nobody").redrive()


async def test_what_is_discarded_stands_in_the_audit_log(place, tmp_path: Path):
    sent = await place.give_up(3)
    audit = AuditLog.at(tmp_path / "audit.jsonl", who="ada")

    moved = await DeadLetters(place.transport, CHARGE).discard(
        Selection(ids=frozenset(sent[:2])), why="test cards", audit=audit
    )

    lines = (tmp_path / "audit.jsonl").read_text().splitlines()
    assert moved.done == len(lines) == 2
    assert all('"who": "ada"' in line and '"why": "test cards"' in line for line in lines)
    assert await place.dead() == sent[2:]


async def test_a_corrected_event_names_the_dead_letter_as_its_cause(place, tmp_path: Path):
    sent = await place.give_up(3)
    letters = DeadLetters(place.transport, CHARGE)
    entry = await letters.find(sent[1])
    assert entry is not None
    correction = correct(entry, '{"order_id": 77}', Registry(), Codec(), CHARGE)

    moved = await letters.replace(correction, why="mended", audit=AuditLog.at(tmp_path / "audit.jsonl"))

    assert moved.done == 1
    (delivery,) = await drive.contents(place.transport, CHARGE)
    envelope = Codec().decode(delivery.message)
    assert envelope.data == {"order_id": 77}
    assert (envelope.event_id, envelope.causation_id) == (correction.event_id, sent[1])
    assert await place.dead() == [sent[0], sent[2]]
