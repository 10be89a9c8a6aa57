"""What is left of a subscription that no service has any more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from eventbus.errors import QueueMissing
from eventbus.transport import QueueSpec, Topology
from tests.integration.rabbitmq.scene import CHARGE, NOTIFY, an_event, send

pytestmark = pytest.mark.empty_vhost

if TYPE_CHECKING:
    from eventbus.rabbitmq import RabbitMQTransport
    from tests.support.broker import Broker


async def test_a_queue_whose_subscription_is_gone_is_drift(transport: RabbitMQTransport) -> None:
    refund = QueueSpec("payment.refund", ("order.cancelled",))
    await transport.apply(Topology((CHARGE, refund, NOTIFY)))

    drifts = await transport.diff(Topology((CHARGE,)))

    assert [(drift.kind, drift.what) for drift in drifts] == [("unexpected", "queue payment.refund")]


async def test_dead_letters_that_outlive_their_queue_are_seen(
    transport: RabbitMQTransport, rabbitmq: Broker, vhost: str
) -> None:
    refund = QueueSpec("payment.refund", ("order.created",))
    await transport.apply(Topology((CHARGE, refund)))
    await send(transport, an_event(1, queue="payment.refund.dead"))
    rabbitmq.api("DELETE", f"queues/{vhost}/{refund.name}")

    (drift,) = await transport.diff(Topology((CHARGE,)))
    assert (drift.kind, drift.what) == ("unexpected", "queue payment.refund.dead")
    assert "eventbus dead list payment.refund" in drift.fix
    assert list(await transport.queues()) == [CHARGE.name, refund.name]
    (stats,) = await transport.stats([refund.name])
    assert (stats.ready, stats.dead) == (0, 1)
    rabbitmq.api("DELETE", f"queues/{vhost}/payment.refund.dead")
    assert await transport.diff(Topology((CHARGE,))) == []


async def test_to_send_to_a_queue_that_is_not_there_says_how_it_gets_there(
    transport: RabbitMQTransport,
) -> None:
    await transport.apply(Topology((CHARGE,)))

    with pytest.raises(QueueMissing, match=r"payment\.refund .*That queue is not there: start its worker"):
        await send(transport, an_event(1, queue="payment.refund"))
