"""What the broker's answers to publishing come to, when it says no or nothing."""

from __future__ import annotations

import asyncio
import select
import time
from typing import TYPE_CHECKING

import pytest

from eventbus.errors import InvalidEvent, PublishRefused, PublishTimeout, SendFailed, SendFate
from eventbus.rabbitmq.stream import HotStream
from eventbus.transport import Topology
from tests.integration.rabbitmq.scene import (
    BOTH,
    CHARGE,
    NOTIFY,
    an_event,
    ids,
    opened_at,
    receive,
    send,
    take,
)
from tests.support.eventually import eventually

if TYPE_CHECKING:
    from eventbus.rabbitmq import RabbitMQTransport
    from tests.integration.rabbitmq.conftest import OpenTransport
    from tests.support.broker import Broker
    from tests.support.rabbitmq_node import RabbitNode


async def test_many_calls_at_once_share_a_small_window(opened: OpenTransport) -> None:
    async with opened(confirm_window=3, confirm_window_bytes=2_000) as transport:
        await transport.apply(Topology((CHARGE,)))
        batches = [[an_event(100 * batch + n) for n in range(20)] for batch in range(10)]

        await asyncio.gather(*(transport.send(batch, timeout=15) for batch in batches))

        arrived = ids(await receive(transport, CHARGE.name, 200))
    assert len(set(arrived)) == 200
    for batch in batches:
        mine = {message.event_id for message in batch}
        assert [event_id for event_id in arrived if event_id in mine] == [m.event_id for m in batch]


async def test_a_message_larger_than_the_window_is_sent_alone(opened: OpenTransport) -> None:
    async with opened(confirm_window_bytes=1_000) as transport:
        await transport.apply(Topology((CHARGE,)))
        large = bytes(50_000)

        await send(transport, an_event(1), an_event(2, body=large), an_event(3, body=large), an_event(4))

        assert ids(await receive(transport, CHARGE.name, 4)) == [f"evt_{n}" for n in range(1, 5)]


async def test_events_of_the_same_id_in_flight_at_once_have_each_a_fate_of_their_own(
    transport: RabbitMQTransport,
) -> None:
    await transport.apply(Topology((CHARGE,)))
    twin, nowhere = an_event(1, queue=CHARGE.name), an_event(1, queue="payment.nothing")

    with pytest.raises(PublishRefused) as failure:
        await send(transport, twin, nowhere, twin, nowhere)

    confirmed, refused = SendFate.CONFIRMED, SendFate.NOT_SENT
    assert failure.value.fates == (confirmed, refused, confirmed, refused)
    assert ids(await receive(transport, CHARGE.name, 2)) == ["evt_1", "evt_1"]


async def test_without_the_exchange_publishing_is_refused_and_afterwards_works(
    transport: RabbitMQTransport,
) -> None:
    with pytest.raises(PublishRefused, match="no exchange 'events'"):
        await send(transport, an_event(1))

    await transport.apply(Topology((CHARGE,)))
    await send(transport, an_event(2))
    assert ids(await receive(transport, CHARGE.name, 1)) == ["evt_2"]


async def test_a_full_queue_is_refused_and_whether_others_have_it_is_unknown(
    transport: RabbitMQTransport, rabbitmq: Broker, vhost: str
) -> None:
    await transport.apply(BOTH)
    full = {"pattern": "^payment.charge$", "apply-to": "queues", "definition": {"max-length": 1}}
    rabbitmq.api("PUT", f"policies/{vhost}/full", full)

    with pytest.raises(PublishRefused, match="full") as failure:
        await fill(transport)

    assert failure.value.fates == (SendFate.UNKNOWN,)
    assert failure.value.sent is None
    assert len(await receive(transport, NOTIFY.name, 2)) >= 2


async def test_a_confirm_that_has_come_when_the_time_is_up_counts(
    transport: RabbitMQTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A loop that was kept busy finds the answer and the end of the time in the same turn."""
    write = HotStream.write

    def busy_afterwards(stream: HotStream, frames: bytes, *, at_once: bool = False) -> None:
        write(stream, frames, at_once=at_once)
        asyncio.get_running_loop().call_soon(busy_until_the_answer_has_come, stream)

    await transport.apply(Topology((CHARGE,)))
    await send(transport, an_event(1))
    with monkeypatch.context() as patched:
        patched.setattr(HotStream, "write", busy_afterwards)
        await transport.send([an_event(2)], timeout=0.1)

    assert ids(await receive(transport, CHARGE.name, 2)) == ["evt_1", "evt_2"]


def busy_until_the_answer_has_come(stream: HotStream) -> None:
    """And the time is up."""
    assert stream._peer is not None
    select.select([stream._peer.get_extra_info("socket")], [], [], 30)
    time.sleep(0.15)


async def fill(transport: RabbitMQTransport) -> None:
    """A quorum queue takes a few more than its limit."""
    for number in range(50):
        await send(transport, an_event(number))


async def test_what_cannot_be_sent_is_told_before_a_byte_is_sent(transport: RabbitMQTransport) -> None:
    await transport.apply(Topology((CHARGE,)))

    for wrong in (
        an_event(2, headers={"h": object()}),
        an_event(2, headers={"h": "x" * 140_000}),
        an_event(2, source="s" * 256),
        an_event(2, routing_key="r" * 256),
        an_event(2, delay=2.0**28),
    ):
        with pytest.raises(InvalidEvent):
            await send(transport, an_event(1), wrong)

    await send(transport, an_event(3))
    assert ids(await receive(transport, CHARGE.name, 1)) == ["evt_3"]


async def test_no_time_at_all_is_a_timeout_with_a_fate_for_each(transport: RabbitMQTransport) -> None:
    await transport.apply(Topology((CHARGE,)))

    with pytest.raises(PublishTimeout) as failure:
        await transport.send([an_event(number) for number in range(1_000)], timeout=0.001)

    assert len(failure.value.fates) == 1_000
    await send(transport, an_event(1_000))


async def test_a_call_that_gave_up_makes_room_for_others(node: RabbitNode, node_url: str) -> None:
    async with opened_at(node_url, confirm_window=2) as transport:
        await transport.apply(Topology((CHARGE,)))
        await send(transport, an_event(1))
        node.pause()
        try:
            impatient = asyncio.ensure_future(transport.send([an_event(2), an_event(3)], timeout=0.3))
            patient = asyncio.ensure_future(transport.send([an_event(4)], timeout=2.5))
            gave_up, waited = await asyncio.gather(impatient, patient, return_exceptions=True)
        finally:
            node.resume()

    assert isinstance(gave_up, PublishTimeout)
    assert isinstance(waited, PublishTimeout)
    assert waited.fates == (SendFate.UNKNOWN,), "it never got its turn"


async def test_a_blocked_connection_sends_nothing_and_goes_on_when_it_is_free(
    node: RabbitNode, node_url: str
) -> None:
    async with opened_at(node_url) as transport:
        await transport.apply(Topology((CHARGE,)))
        await send(transport, an_event(1))
        async with transport.consume(CHARGE.name, prefetch=10) as consumption:
            await asyncio.to_thread(node.ctl, "set_vm_memory_high_watermark", "0.00001")
            try:
                await eventually(lambda: nothing_sent(transport), within=15)
                assert ids(await take(consumption, 1)) == ["evt_1"], "consuming must go on"
            finally:
                await asyncio.to_thread(node.ctl, "set_vm_memory_high_watermark", "0.6")
            await send(transport, an_event(3))


async def nothing_sent(transport: RabbitMQTransport) -> bool:
    """RabbitMQ says that it blocks a connection when something has been published over it."""
    try:
        await send(transport, an_event(2), timeout=0.5)
    except SendFailed as failure:
        return failure.sent is False
    return False
