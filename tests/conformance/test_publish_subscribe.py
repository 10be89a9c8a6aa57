"""What is sent arrives as it was sent, where it belongs."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from eventbus.errors import PublishRefused, SendFate
from eventbus.transport import Message
from tests.conformance import drive, sizes
from tests.conformance.drive import CHARGE, CHARGE_ALONE, CHARGE_AND_NOTIFY, NOTIFY, ORDER_CREATED

if TYPE_CHECKING:
    from eventbus.transport import Delivery, Transport

WHEN = datetime(2025, 2, 15, 10, 30, 59, tzinfo=UTC)  # whole seconds: AMQP has no finer
HEADERS = {
    "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    "text": "naïve — 価格",
    "empty": "",
    "flag": True,
    "nothing": None,
    "whole": -7,
    "large": 2**40,
    "real": 0.1,
    "bytes": b"\x00\xff",
    "when": WHEN,
    "list": ["one", 2, ["three", {"four": 4}]],
    "table": {"inner": {"innermost": [1, 2, 3]}, "other": "x"},
}


async def test_payload_and_metadata_arrive_as_they_were_sent(transport: Transport) -> None:
    await transport.apply(CHARGE_ALONE)
    sent = [
        replace(
            message, headers={**HEADERS, "n": n}, timestamp=WHEN, source="order", correlation_id=f"flow-{n}"
        )
        for n, message in enumerate(drive.some_messages(sizes.MESSAGES_WITH_METADATA))
    ]
    await drive.send(transport, *sent)

    async with transport.consume(CHARGE, prefetch=drive.PREFETCH) as consumption:
        deliveries = await drive.collect(consumption, len(sent))

    assert [as_sent(delivery) for delivery in deliveries] == sent
    assert {(d.queue, d.attempt, d.redelivered) for d in deliveries} == {(CHARGE, 1, False)}


async def test_a_message_of_only_a_body_and_a_routing_key_gets_nothing_added(transport: Transport) -> None:
    await transport.apply(CHARGE_ALONE)
    bare = Message(b"{}", ORDER_CREATED, content_type=None)
    await drive.send(transport, bare)

    async with transport.consume(CHARGE, prefetch=1) as consumption:
        (delivery,) = await drive.collect(consumption, 1)

    assert as_sent(delivery) == bare
    assert delivery.attempt == 1


async def test_bytes_of_any_kind_arrive_unchanged(transport: Transport) -> None:
    await transport.apply(CHARGE_ALONE)
    bodies = [b"", b"\x00", bytes(range(256)), b"\xff\xfe not UTF-8", b"x" * 1_048_576]
    await drive.send(transport, *(drive.a_message(body=body) for body in bodies))

    assert [delivery.message.body for delivery in await drive.contents(transport, CHARGE)] == bodies


async def test_topics_do_not_mix(transport: Transport) -> None:
    topics = {f"payment.handler_{n}": f"order.kind_{n}" for n in range(sizes.TOPICS)}
    await transport.apply(drive.topology(**{queue: [topic] for queue, topic in topics.items()}))
    sent = {queue: drive.some_messages(sizes.MESSAGES_A_TOPIC, topic) for queue, topic in topics.items()}
    await asyncio.gather(*(drive.send(transport, *messages) for messages in sent.values()))

    received = await asyncio.gather(*(drive.contents(transport, queue) for queue in sent))

    assert [drive.ids(deliveries) for deliveries in received] == [drive.ids(sent[queue]) for queue in sent]


async def test_two_services_each_get_every_message(transport: Transport) -> None:
    await transport.apply(CHARGE_AND_NOTIFY)
    sent = drive.some_messages(sizes.MESSAGES_TO_TWO_SERVICES)
    await drive.send(transport, *sent)

    for queue in (CHARGE, NOTIFY):
        assert drive.ids(await drive.contents(transport, queue)) == drive.ids(sent)


async def test_one_consumer_gets_messages_in_the_order_they_were_sent(transport: Transport) -> None:
    await transport.apply(CHARGE_ALONE)
    sent = drive.some_messages(sizes.MESSAGES_IN_ORDER)
    async with transport.consume(CHARGE, prefetch=drive.PREFETCH) as consumption:
        receiving = asyncio.create_task(drive.collect(consumption, len(sent)))
        for start in range(0, len(sent), 50):
            await drive.send(transport, *sent[start : start + 50])
        received = await receiving

    assert [delivery.message.body for delivery in received] == [message.body for message in sent]


async def test_a_queue_whose_patterns_both_match_gets_the_message_once(transport: Transport) -> None:
    await transport.apply(drive.topology(**{CHARGE: ["order.*", "#.created", ORDER_CREATED]}))
    sent = drive.a_message()
    await drive.send(transport, sent)

    assert drive.ids(await drive.contents(transport, CHARGE)) == [sent.event_id]


async def test_a_message_for_one_queue_reaches_no_other(transport: Transport) -> None:
    await transport.apply(CHARGE_AND_NOTIFY)
    sent = drive.a_message(queue=CHARGE)
    await drive.send(transport, sent)

    (delivery,) = await drive.contents(transport, CHARGE)
    assert (delivery.message.event_id, delivery.message.routing_key) == (sent.event_id, ORDER_CREATED)
    assert await drive.contents(transport, NOTIFY) == []


async def test_a_message_for_a_queue_that_does_not_exist_is_refused(transport: Transport) -> None:
    await transport.apply(CHARGE_ALONE)
    one, nowhere, two = drive.a_message(), drive.a_message(queue="nobody.there"), drive.a_message()

    with pytest.raises(PublishRefused) as refusal:
        await drive.send(transport, one, nowhere, two)

    assert refusal.value.fates[1] is not SendFate.CONFIRMED
    arrived = drive.ids(await drive.contents(transport, CHARGE))
    for message, fate in zip((one, nowhere, two), refusal.value.fates, strict=True):
        assert fate is SendFate.UNKNOWN or (message.event_id in arrived) is (fate is SendFate.CONFIRMED)


async def test_a_new_queue_gets_what_comes_after_it_and_not_what_came_before(transport: Transport) -> None:
    await transport.apply(CHARGE_ALONE)
    before, after = drive.a_message(), drive.a_message()
    await drive.send(transport, before)
    await transport.apply(CHARGE_AND_NOTIFY)
    await drive.send(transport, after)

    assert drive.ids(await drive.contents(transport, NOTIFY)) == [after.event_id]
    assert drive.ids(await drive.contents(transport, CHARGE)) == [before.event_id, after.event_id]


async def test_an_event_that_nobody_subscribes_to_is_no_error(transport: Transport) -> None:
    await transport.apply(CHARGE_ALONE)
    await drive.send(transport, drive.a_message("order.cancelled"))

    assert await drive.contents(transport, CHARGE) == []


async def test_sending_nothing_is_no_error(transport: Transport) -> None:
    await transport.apply(CHARGE_ALONE)
    await transport.send([], timeout=1.0)

    assert await drive.contents(transport, CHARGE) == []


def as_sent(delivery: Delivery) -> Message:
    """The delivered message as it was before a queue or a delay was written on it."""
    return replace(delivery.message, headers=dict(delivery.message.headers), queue=None, delay=0.0)
