"""What is due and has no queue any more holds up nobody, and can be sent again."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import pytest

from eventbus.dead_letters import DeadLetters, Selection
from eventbus.errors import SendFailed
from eventbus.transport import Topology
from tests.integration.rabbitmq.scene import BOTH, CHARGE, NOTIFY, PATIENCE, an_event, ids, receive, send
from tests.support.eventually import eventually

if TYPE_CHECKING:
    from eventbus.rabbitmq import RabbitMQTransport
    from tests.support.broker import Broker

UNDELIVERED: Final = "events.undelivered"
MORE_THAN_THE_BROKER_HOLDS: Final = 40
"""It hands over 32 at a time, and no more until these are taken."""


def delete(rabbitmq: Broker, vhost: str, queue: str) -> None:
    rabbitmq.api("DELETE", f"queues/{vhost}/{queue}")


async def lying(transport: RabbitMQTransport, count: int) -> DeadLetters:
    """As many are there."""
    letters = DeadLetters(transport, UNDELIVERED)

    async def all_of_them() -> bool:
        return (await letters.stats()).dead == count

    await eventually(all_of_them, within=PATIENCE)
    return letters


async def test_retries_of_a_deleted_queue_hold_up_nobody_and_come_when_it_is_there_again(
    transport: RabbitMQTransport, rabbitmq: Broker, vhost: str
) -> None:
    numbers = range(MORE_THAN_THE_BROKER_HOLDS)
    await transport.apply(BOTH)
    await asyncio.to_thread(delete, rabbitmq, vhost, CHARGE.name)
    failed = {"eventbus-attempt": 2, "eventbus-error": "TimeoutError: bank"}
    await send(transport, *(an_event(n, queue=CHARGE.name, delay=1, headers=failed) for n in numbers))
    await send(transport, an_event(100, queue=NOTIFY.name, delay=2))

    assert ids(await receive(transport, NOTIFY.name, 1)) == ["evt_100"]
    letters = await lying(transport, len(numbers))
    (entry, *_) = await transport.dead_letters(UNDELIVERED, limit=1)
    assert (entry.reason, entry.message.queue, entry.attempts) == ("undelivered", CHARGE.name, 2)
    assert entry.error == (
        "it was due, and the queue payment.charge was not there; before that: TimeoutError: bank"
    )
    assert entry.died_at is not None

    await transport.apply(BOTH)
    moved = await letters.redrive(Selection(error="*queue payment.charge was*"))

    assert moved.done == len(numbers)
    assert set(ids(await receive(transport, CHARGE.name, len(numbers)))) == {f"evt_{n}" for n in numbers}
    notify, undelivered = await transport.stats([NOTIFY.name, UNDELIVERED])
    assert (notify.ready, undelivered.dead) == (0, 0)


async def test_what_has_no_queue_yet_stays_when_it_is_sent_again(
    transport: RabbitMQTransport, rabbitmq: Broker, vhost: str
) -> None:
    await transport.apply(BOTH)
    await asyncio.to_thread(delete, rabbitmq, vhost, CHARGE.name)
    await send(transport, an_event(1, queue=CHARGE.name, delay=1))
    letters = await lying(transport, 1)

    moved = await letters.redrive()

    assert (moved.done, len(moved.failures)) == (0, 1)
    assert isinstance(moved.stopped, SendFailed)
    assert (await letters.stats()).dead == 1


async def test_a_delayed_event_that_no_queue_is_there_for_becomes_an_event_again(
    transport: RabbitMQTransport, rabbitmq: Broker, vhost: str
) -> None:
    await transport.apply(Topology(()))
    await asyncio.to_thread(delete, rabbitmq, vhost, "events.log")
    await send(transport, an_event(1, delay=1))
    letters = await lying(transport, 1)
    (entry,) = await transport.dead_letters(UNDELIVERED, limit=1)
    assert (entry.reason, entry.message.queue) == ("undelivered", None)
    assert entry.error == "it was due, and a queue for it was not there"

    await transport.apply(BOTH)
    await letters.redrive()

    for queue in (CHARGE.name, NOTIFY.name):
        (delivery,) = await receive(transport, queue, 1)
        assert (delivery.message.event_id, delivery.message.routing_key) == ("evt_1", "order.created")


@pytest.mark.empty_vhost
async def test_a_delay_network_without_that_queue_is_drift(
    transport: RabbitMQTransport, rabbitmq: Broker, vhost: str
) -> None:
    await transport.apply(Topology(()))
    path = f"exchanges/{vhost}/events.delay.deliver"
    await asyncio.to_thread(rabbitmq.api, "DELETE", path)
    await asyncio.to_thread(rabbitmq.api, "PUT", path, {"type": "topic", "durable": True})

    drifts = await transport.diff(Topology(()))

    (changed,) = [drift for drift in drifts if drift.kind == "changed"]
    assert changed.what == "exchange events.delay.deliver"
    assert changed.found == "alternate-exchange is not set, not events.undelivered"
    assert changed.fix.startswith("delete it, then eventbus topology apply, for every service")
