"""After any loss consuming goes on by itself, and one queue's trouble never reaches another."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from eventbus.errors import BrokerUnreachable, LogReplaced, PublishTimeout, SendFate, TopologyError
from eventbus.outcome import Ack, DeadLetter, Reason, RetryAfter
from eventbus.rabbitmq import RabbitMQTransport
from eventbus.rabbitmq.intake import AT_A_TIME
from eventbus.transport import Topology
from tests.integration.rabbitmq.scene import (
    BOTH,
    CHARGE,
    NOTIFY,
    PATIENCE,
    an_event,
    close_connections,
    ids,
    opened_at,
    receive,
    send,
    take,
)
from tests.support.eventually import eventually
from tests.support.fault_proxy import FaultProxy
from tests.support.rabbitmq_node import SETTLING

if TYPE_CHECKING:
    from tests.support.broker import Broker
    from tests.support.rabbitmq_node import RabbitNode


async def closed(rabbitmq: Broker, vhost: str, purpose: str) -> None:
    """The broker has closed the connection; it shows a new one only after a moment."""
    await eventually(lambda: asyncio.to_thread(close_connections, rabbitmq, vhost, purpose), within=10)


async def test_a_consumer_comes_back_after_its_connection_is_closed(
    transport: RabbitMQTransport, rabbitmq: Broker, vhost: str
) -> None:
    await transport.apply(Topology((CHARGE,)))
    await send(transport, an_event(1))
    async with transport.consume(CHARGE.name, prefetch=10) as consumption:
        (held,) = await take(consumption, 1)
        await closed(rabbitmq, vhost, "consuming")
        await send(transport, an_event(2))

        both = await take(consumption, 2)
        await consumption.settle([(held, Ack())])
        await consumption.settle([(delivery, Ack()) for delivery in both])

    assert sorted(str(event_id) for event_id in ids(both)) == ["evt_1", "evt_2"]
    assert held.message == next(d.message for d in both if d.message.event_id == "evt_1")
    (stats,) = await transport.stats([CHARGE.name])
    assert stats.ready == 0


async def test_publishing_goes_on_after_its_connection_is_closed(
    transport: RabbitMQTransport, rabbitmq: Broker, vhost: str
) -> None:
    await transport.apply(Topology((CHARGE,)))
    await send(transport, an_event(1))
    await closed(rabbitmq, vhost, "publishing")

    await eventually(lambda: sent(transport), despite=BrokerUnreachable)

    assert "evt_2" in ids(await receive(transport, CHARGE.name, 2))


async def sent(transport: RabbitMQTransport) -> bool:
    await send(transport, an_event(2))
    return True


async def test_losing_the_publishing_connection_does_not_disturb_consuming(
    transport: RabbitMQTransport, rabbitmq: Broker, vhost: str
) -> None:
    await transport.apply(Topology((CHARGE,)))
    await send(transport, an_event(1))
    async with transport.consume(CHARGE.name, prefetch=10) as consumption:
        (delivery,) = await take(consumption, 1)
        await closed(rabbitmq, vhost, "publishing")
        await consumption.settle([(delivery, RetryAfter(0.0, "not yet"))])

        (again,) = await take(consumption, 1)
        await consumption.settle([(again, Ack())])

    assert (again.message.event_id, again.attempt) == ("evt_1", 2)


async def test_a_queue_that_is_deleted_hurts_no_other_and_is_declared_again(
    transport: RabbitMQTransport, rabbitmq: Broker, vhost: str
) -> None:
    await transport.apply(BOTH)
    async with (
        transport.consume(CHARGE.name, prefetch=10) as charging,
        transport.consume(NOTIFY.name, prefetch=10) as notifying,
    ):
        rabbitmq.api("DELETE", f"queues/{vhost}/{CHARGE.name}")
        await send(transport, an_event(1))
        assert ids(await take(notifying, 1)) == ["evt_1"]

        await eventually(lambda: consumers_of(transport, CHARGE.name), within=PATIENCE)
        await send(transport, an_event(2))
        assert ids(await take(charging, 1)) == ["evt_2"]


async def consumers_of(transport: RabbitMQTransport, queue: str) -> int:
    (stats,) = await transport.stats([queue])
    return stats.consumers


async def test_a_queue_that_does_not_exist_cannot_be_consumed(transport: RabbitMQTransport) -> None:
    await transport.apply(Topology())

    with pytest.raises(TopologyError, match="NOT_FOUND"):
        async with transport.consume("payment.nothing", prefetch=1):
            pass


async def test_the_log_goes_on_where_it_was_after_a_loss(
    transport: RabbitMQTransport, rabbitmq: Broker, vhost: str
) -> None:
    await transport.apply(Topology())
    await send(transport, an_event(1), an_event(2))
    offsets: list[int] = []
    async with asyncio.timeout(PATIENCE), transport.log("first") as batches:
        async for batch in batches:
            offsets += [entry.offset for entry in batch]
            if offsets == [0, 1]:
                await closed(rabbitmq, vhost, "consuming")
                await send(transport, an_event(3))
            if len(offsets) == 3:
                break

    assert offsets == [0, 1, 2]


@pytest.mark.empty_vhost
async def test_reading_a_log_that_is_deleted_and_declared_again_ends_with_an_error(
    transport: RabbitMQTransport, rabbitmq: Broker, vhost: str
) -> None:
    await transport.apply(Topology())
    await send(transport, *(an_event(number) for number in range(10)))
    read = 0

    async def read_on() -> None:
        nonlocal read
        async with asyncio.timeout(PATIENCE), transport.log("first") as batches:
            async for batch in batches:
                read += len(batch)
                if read == 10:
                    rabbitmq.api("DELETE", f"queues/{vhost}/events.log")
                    await transport.apply(Topology())

    with pytest.raises(LogReplaced, match="was deleted and declared again") as raised:
        await read_on()

    assert raised.value.offset == 10
    assert raised.value.end < 10


async def test_a_log_read_from_now_on_skips_nothing_when_it_is_lost_before_the_first_entry(
    transport: RabbitMQTransport, rabbitmq: Broker, vhost: str
) -> None:
    await transport.apply(Topology())
    async with asyncio.timeout(PATIENCE), transport.log("next") as entries:
        await closed(rabbitmq, vhost, "consuming")
        await send(transport, an_event(1))
        batch = await anext(entries)

    assert [entry.message.event_id for entry in batch] == ["evt_1"]


async def test_a_delivery_stays_until_its_dead_letter_is_kept(
    transport: RabbitMQTransport, rabbitmq: Broker, vhost: str
) -> None:
    await transport.apply(Topology((CHARGE,)))
    await send(transport, an_event(1))
    rabbitmq.api("DELETE", f"queues/{vhost}/{CHARGE.name}.dead")
    async with transport.consume(CHARGE.name, prefetch=10) as consumption:
        (delivery,) = await take(consumption, 1)
        settling = asyncio.ensure_future(
            consumption.settle([(delivery, DeadLetter(Reason.REJECTED, "cannot be"))])
        )
        await asyncio.wait({settling}, timeout=0.3)
        assert not settling.done(), "there is nowhere to keep it, and still it was settled"

        await transport.apply(Topology((CHARGE,)))
        async with asyncio.timeout(PATIENCE):
            await settling

    (entry,) = await transport.dead_letters(CHARGE.name, limit=10)
    assert (entry.message.event_id, entry.reason) == ("evt_1", "rejected")
    assert (await transport.stats([CHARGE.name]))[0].ready == 0


async def test_a_delivery_that_cannot_be_settled_before_the_end_goes_back_to_its_queue(
    transport: RabbitMQTransport, rabbitmq: Broker, vhost: str
) -> None:
    await transport.apply(Topology((CHARGE,)))
    await send(transport, an_event(1))
    rabbitmq.api("DELETE", f"queues/{vhost}/{CHARGE.name}.dead")
    async with transport.consume(CHARGE.name, prefetch=10) as consumption:
        (delivery,) = await take(consumption, 1)
        await consumption.stop()
        async with asyncio.timeout(PATIENCE):
            await consumption.settle([(delivery, DeadLetter(Reason.REJECTED, "cannot be"))])

    assert ids(await receive(transport, CHARGE.name, 1)) == ["evt_1"]


async def test_a_broker_that_falls_silent_makes_a_typed_timeout_and_comes_back(
    node: RabbitNode, node_url: str
) -> None:
    async with opened_at(node_url) as transport:
        await transport.apply(Topology((CHARGE,)))
        await send(transport, an_event(1))

        node.pause()
        try:
            with pytest.raises(PublishTimeout) as failure:
                await send(transport, *(an_event(number) for number in range(2, 5)), timeout=0.5)
        finally:
            node.resume()

        assert failure.value.fates == (SendFate.UNKNOWN,) * 3
        await send(transport, an_event(5))
        assert "evt_5" in ids(await receive(transport, CHARGE.name, 5))


async def test_consumers_come_back_after_the_broker_is_killed(node: RabbitNode, node_url: str) -> None:
    async with opened_at(node_url) as transport:
        await transport.apply(Topology((CHARGE,)))
        async with transport.consume(CHARGE.name, prefetch=10) as consumption:
            await asyncio.sleep(SETTLING)
            await send(transport, an_event(1))
            await asyncio.to_thread(node.kill)
            with pytest.raises(BrokerUnreachable):
                await send(transport, an_event(2), timeout=0.5)
            with pytest.raises(BrokerUnreachable) as failure:
                await send(transport, an_event(2), timeout=0.5)
            await asyncio.to_thread(node.start)

            await eventually(lambda: sent(transport), within=30, despite=BrokerUnreachable)
            taken = await take(consumption, 2, within=30)

    assert failure.value.sent is False
    assert set(ids(taken)) == {"evt_1", "evt_2"}


async def test_acks_that_the_queue_has_not_carried_out_when_consuming_ends_are_not_forgotten(
    transport: RabbitMQTransport,
) -> None:
    """All but the first, so that each is an ack of its own: more than the queue takes at a time."""
    count = 10 * AT_A_TIME
    await transport.apply(Topology((CHARGE,)))
    await send(transport, *[an_event(number) for number in range(count)])

    async with transport.consume(CHARGE.name, prefetch=count) as consumption:
        first, *others = await take(consumption, count)
        await consumption.stop()
        await consumption.settle([(delivery, Ack()) for delivery in others])
        await consumption.settle([(first, Ack())])

    (stats,) = await transport.stats([CHARGE.name])
    assert stats.ready == 0


async def test_whoever_needs_it_while_it_is_opened_shares_its_connection(amqp_url: str) -> None:
    """As a relay does that has something to send when a bus is opened."""
    async with FaultProxy.between(amqp_url) as (proxy, url):
        proxy.delay(0.02)  # a handshake takes a while: both need it meanwhile
        transport = RabbitMQTransport(url)
        for needs_first in (True, False):
            needs, opens = transport.apply(Topology()), transport.open()
            await asyncio.gather(*((needs, opens) if needs_first else (opens, needs)))
            assert (proxy.accepted, len(supervisions())) == (1, 1)

            proxy.cut()
            await eventually(lambda: sent(transport), despite=BrokerUnreachable)
            assert (proxy.accepted, len(supervisions())) == (2, 1)

            await transport.close()
            assert not supervisions()
            proxy.accepted = 0


def supervisions() -> list[asyncio.Task[object]]:
    return [task for task in asyncio.all_tasks() if task.get_name() == "rabbitmq publishing"]
