"""What is given up is kept with its history, apart from its queue, which goes on."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from eventbus.headers import for_dead_letter
from eventbus.outcome import DeadLetter, Reason, RetryAfter
from tests.conformance import drive
from tests.conformance.drive import ACK, CHARGE, CHARGE_ALONE, CHARGE_AND_NOTIFY, NOTIFY, ORDER_CREATED
from tests.support.eventually import eventually

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eventbus.transport import Message, Transport

REFUSED = DeadLetter(Reason.REJECTED, "CardDeclined: no such card")
CLOCKS = timedelta(seconds=2)  # that the times may be off by, where the broker keeps whole seconds


async def test_a_dead_letter_is_kept_with_its_history(transport: Transport) -> None:
    await transport.apply(CHARGE_ALONE)
    sent = replace(
        drive.a_message(body=b"\x00 as it was"), headers={"traceparent": "00-abc-def-01"}, source="order"
    )
    await drive.send(transport, sent)
    began = datetime.now(UTC)
    async with transport.consume(CHARGE, prefetch=10) as consumption:
        for outcome in (
            RetryAfter(0.0, "one"),
            RetryAfter(1.0, "two"),
            DeadLetter(Reason.EXHAUSTED, "three"),
        ):
            await drive.collect(consumption, 1, outcome=outcome)
    ended = datetime.now(UTC)

    (dead,) = await transport.dead_letters(CHARGE, limit=10)

    assert replace(dead.message, headers={}, queue=None, delay=0.0) == replace(sent, headers={})
    assert dead.message.headers["traceparent"] == "00-abc-def-01"
    assert (dead.reason, dead.error, dead.attempts) == (Reason.EXHAUSTED, "three", 3)
    assert dead.first_failed_at is not None
    assert dead.died_at is not None
    assert began - CLOCKS <= dead.first_failed_at <= dead.died_at <= ended + CLOCKS
    assert dead.died_at - dead.first_failed_at >= timedelta(seconds=1)


async def test_a_message_can_be_sent_to_the_dead_letters_of_one_queue(transport: Transport) -> None:
    await transport.apply(CHARGE_AND_NOTIFY)
    sent = drive.a_message(body=b"as it was")
    headers = for_dead_letter(sent.headers, sent.routing_key, Reason.REJECTED, "no", datetime.now(UTC))

    await drive.send(transport, replace(sent, headers=headers, queue=f"{CHARGE}.dead"))

    (dead,) = await transport.dead_letters(CHARGE, limit=10)
    assert (dead.message.event_id, dead.message.body, dead.message.routing_key, dead.reason, dead.error) == (
        (sent.event_id, b"as it was", ORDER_CREATED, Reason.REJECTED, "no")
    )
    assert await _dead(transport, NOTIFY) == []
    assert await drive.contents(transport, CHARGE) == []


async def test_every_reason_is_kept(transport: Transport) -> None:
    await transport.apply(CHARGE_ALONE)
    await drive.send(transport, *drive.some_messages(len(Reason)))
    async with transport.consume(CHARGE, prefetch=drive.PREFETCH) as consumption:
        held = await drive.take(consumption, len(Reason))
        outcomes = [DeadLetter(reason, f"because of {reason}") for reason in Reason]
        await consumption.settle(list(zip(held, outcomes, strict=True)))

    dead = await transport.dead_letters(CHARGE, limit=100)

    found = {(entry.reason, entry.error, entry.attempts) for entry in dead}
    assert found == {(outcome.reason, outcome.error, 1) for outcome in outcomes}


async def test_the_queue_goes_on_after_a_dead_letter(transport: Transport) -> None:
    await transport.apply(CHARGE_ALONE)
    sent = drive.some_messages(5)
    await drive.send(transport, *sent)

    async with transport.consume(CHARGE, prefetch=1) as consumption:
        await drive.collect(consumption, 1, outcome=REFUSED)
        rest = await drive.collect(consumption, 4)

    assert drive.ids(rest) == drive.ids(sent[1:])
    assert drive.ids(await _dead(transport, CHARGE)) == drive.ids(sent[:1])
    assert await drive.contents(transport, CHARGE) == []


async def test_looking_at_dead_letters_changes_nothing(transport: Transport) -> None:
    sent = drive.some_messages(5)
    await _give_up(transport, sent, REFUSED)

    first = await transport.dead_letters(CHARGE, limit=10)
    assert drive.ids(first) == drive.ids(sent)

    for limit in (1, 10, 4, 10, 5, 10):
        assert list(await transport.dead_letters(CHARGE, limit=limit)) == list(first[:limit])


async def test_dead_letters_are_listed_from_the_oldest_up_to_the_limit(transport: Transport) -> None:
    sent = drive.some_messages(10)
    await _give_up(transport, sent, REFUSED)

    few = await transport.dead_letters(CHARGE, limit=3)
    all_of_them = await transport.dead_letters(CHARGE, limit=100)

    assert drive.ids(few) == drive.ids(sent[:3])
    assert drive.ids(all_of_them) == drive.ids(sent)


async def test_a_queue_with_no_dead_letters_has_none_to_show(transport: Transport) -> None:
    await transport.apply(CHARGE_ALONE)

    assert list(await transport.dead_letters(CHARGE, limit=10)) == []


async def test_a_dead_letter_belongs_to_one_queue_alone(transport: Transport) -> None:
    await transport.apply(CHARGE_AND_NOTIFY)
    sent = drive.a_message()
    await _give_up(transport, [sent], REFUSED)

    assert await _dead(transport, NOTIFY) == []
    assert drive.ids(await drive.contents(transport, NOTIFY)) == [sent.event_id]


async def test_a_message_without_an_id_can_be_a_dead_letter(transport: Transport) -> None:
    sent = replace(drive.a_message(body=b"not ours"), event_id=None, event_type=None, content_type=None)
    await _give_up(transport, [sent], DeadLetter(Reason.UNDECODABLE, "not JSON"))

    (message,) = await _dead(transport, CHARGE)
    assert replace(message, headers={}, queue=None, delay=0.0) == sent


async def test_dead_letters_lie_in_a_queue_of_their_own_from_which_they_can_be_moved(
    transport: Transport,
) -> None:
    sent = drive.some_messages(3)
    await _give_up(transport, sent, REFUSED)

    async with transport.consume(f"{CHARGE}.dead", prefetch=10) as consumption:
        taken = await drive.take(consumption, 3)
        await drive.send(transport, replace(taken[0].message, queue=CHARGE))
        await drive.settle(consumption, taken[:2], ACK)

    assert drive.ids(taken) == drive.ids(sent)
    assert {delivery.message.routing_key for delivery in taken} == {ORDER_CREATED}
    assert drive.ids(await drive.contents(transport, CHARGE)) == drive.ids(sent[:1])
    await eventually(lambda: _count(transport, 1), within=30)
    assert drive.ids(await _dead(transport, CHARGE)) == drive.ids(sent[2:])


async def test_what_is_handed_over_again_and_again_and_never_settled_becomes_a_dead_letter(
    transport: Transport,
) -> None:
    await transport.apply(CHARGE_ALONE)
    sent = drive.a_message(body=b"poison")
    await drive.send(transport, sent)

    for _ in range(21):
        async with transport.consume(CHARGE, prefetch=1) as consumption:
            await drive.take(consumption, 1)
    await eventually(lambda: _count(transport, 1), within=30)

    (dead,) = await transport.dead_letters(CHARGE, limit=10)
    assert replace(dead.message, headers={}, queue=None, delay=0.0) == sent
    assert (dead.reason, dead.attempts) == (Reason.DELIVERY_LIMIT, 1)
    assert await drive.contents(transport, CHARGE) == []


async def _give_up(transport: Transport, messages: Sequence[Message], outcome: DeadLetter) -> None:
    await transport.apply(CHARGE_ALONE)
    await drive.send(transport, *messages)
    async with transport.consume(CHARGE, prefetch=drive.PREFETCH) as consumption:
        await drive.collect(consumption, len(messages), outcome=outcome)
    await eventually(lambda: _count(transport, len(messages)), within=30)


async def _count(transport: Transport, count: int) -> bool:
    return (await drive.stats_of(transport, CHARGE)).dead == count


async def _dead(transport: Transport, queue: str) -> list[Message]:
    return [entry.message for entry in await transport.dead_letters(queue, limit=100)]
