"""What stands on the broker after `apply`, as its management API shows it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

import pika
import pytest

from eventbus.errors import BrokerUnreachable, TopologyError
from eventbus.transport import Drift, QueueSpec, Topology
from tests.integration.rabbitmq.scene import BOTH, CHARGE, NOTIFY, an_event, ids, receive, send
from tests.support.eventually import eventually

pytestmark = pytest.mark.empty_vhost

if TYPE_CHECKING:
    from eventbus.rabbitmq import RabbitMQTransport
    from tests.integration.rabbitmq.conftest import OpenTransport
    from tests.support.broker import Broker


async def test_the_names_are_those_of_the_contract(
    transport: RabbitMQTransport, rabbitmq: Broker, vhost: str
) -> None:
    await transport.apply(Topology((CHARGE,)))

    exchanges = {e["name"]: e["type"] for e in rabbitmq.api("GET", f"exchanges/{vhost}")}
    queues = {q["name"]: q["arguments"] for q in rabbitmq.api("GET", f"queues/{vhost}")}
    assert exchanges["events"] == "topic"
    assert exchanges["events.redeliver"] == exchanges["events.dead"] == "direct"
    levels = {f"events.delay.{level:02d}" for level in range(28)}
    assert levels < exchanges.keys()
    subscription = {"payment.charge", "payment.charge.dead"}
    assert queues.keys() == {"events.log", "events.undelivered.dead", *subscription, *levels}
    assert queues["events.log"]["x-queue-type"] == "stream"
    assert queues["payment.charge"]["x-delivery-limit"] == 20


async def test_another_namespace_is_apart(
    opened: OpenTransport, transport: RabbitMQTransport, rabbitmq: Broker, vhost: str
) -> None:
    await transport.apply(Topology((CHARGE,)))
    async with opened(namespace="trial") as trial:
        await trial.apply(Topology())
        await send(trial, an_event(1))
        await send(transport, an_event(2))

        (delivery,) = await receive(transport, CHARGE.name, 1)

    assert delivery.message.event_id == "evt_2"
    assert "trial.log" in {queue["name"] for queue in rabbitmq.api("GET", f"queues/{vhost}")}


async def test_services_that_start_at_the_same_time_declare_without_trouble(opened: OpenTransport) -> None:
    async with opened() as one, opened() as two, opened() as three, opened() as four, opened() as five:
        await asyncio.gather(*(each.apply(BOTH) for each in (one, two, three, four, five)))

        await send(five, an_event(1))
        assert len(await receive(one, NOTIFY.name, 1)) == 1


async def test_declaring_what_is_there_takes_next_to_no_time(transport: RabbitMQTransport) -> None:
    await transport.apply(BOTH)

    async def is_quick() -> bool:
        began = time.perf_counter()
        await transport.apply(BOTH)
        return time.perf_counter() - began < 1.0

    await eventually(is_quick, within=10)


async def test_a_queue_with_other_arguments_is_told_and_the_others_are_declared(
    transport: RabbitMQTransport, amqp_url: str, rabbitmq: Broker, vhost: str
) -> None:
    with pika.BlockingConnection(pika.URLParameters(amqp_url)) as connection:
        drifted = {"x-queue-type": "quorum", "x-delivery-limit": 3}
        connection.channel().queue_declare(CHARGE.name, durable=True, arguments=drifted)

    with pytest.raises(TopologyError, match=r"x-delivery-limit|x-dead-letter|x-overflow") as failure:
        await transport.apply(BOTH)

    assert failure.value.name == CHARGE.name
    names = {queue["name"] for queue in rabbitmq.api("GET", f"queues/{vhost}")}
    assert {NOTIFY.name, "email.notify.dead", "events.log", "events.delay.27"} <= names
    await send(transport, an_event(1))
    assert len(await receive(transport, NOTIFY.name, 1)) == 1


@pytest.mark.parametrize("also", [{}, {"delivery_limit": 7}], ids=["", "with another limit"])
async def test_who_is_refused_the_queue_of_another_namespace_binds_nothing_to_it(
    opened: OpenTransport, transport: RabbitMQTransport, also: dict[str, int]
) -> None:
    await transport.apply(Topology((CHARGE,)))
    async with opened(namespace="trial", **also) as trial:
        with pytest.raises(TopologyError, match="x-dead-letter-exchange"):
            await trial.apply(BOTH)

        await send(trial, an_event(1))
        await receive(trial, NOTIFY.name, 1)

    assert await transport.diff(Topology((CHARGE,))) == []
    await send(transport, an_event(2))
    assert ids(await receive(transport, CHARGE.name, 1)) == ["evt_2"]


async def test_who_may_not_declare_a_queue_binds_nothing_to_it(
    opened: OpenTransport, transport: RabbitMQTransport, rabbitmq: Broker, vhost: str
) -> None:
    await transport.apply(Topology((CHARGE,)))
    theirs = {"configure": r"^trial(\..*)?$", "write": ".*", "read": ".*"}
    rabbitmq.api("PUT", f"permissions/{vhost}/{rabbitmq.user}", theirs)
    async with opened(namespace="trial") as trial:
        with pytest.raises(TopologyError, match="ACCESS_REFUSED"):
            await trial.apply(Topology((CHARGE,)))

    assert await transport.diff(Topology((CHARGE,))) == []


async def test_a_queue_of_our_own_with_another_limit_is_bound_while_it_waits_to_be_mended(
    opened: OpenTransport, transport: RabbitMQTransport
) -> None:
    await transport.apply(Topology((CHARGE,)))
    async with opened(delivery_limit=5) as stricter:
        with pytest.raises(TopologyError, match="x-delivery-limit"):
            await stricter.apply(Topology((QueueSpec(CHARGE.name, ("order.created", "order.paid")),)))

    await send(transport, an_event(1, routing_key="order.paid", event_type="order.paid"))
    assert ids(await receive(transport, CHARGE.name, 1)) == ["evt_1"]


@pytest.mark.parametrize("queue", ["payment.charge", "payment.charge.dead", "events.log"])
async def test_a_binding_of_a_strangers_exchange_to_a_queue_of_ours_is_drift(
    transport: RabbitMQTransport, amqp_url: str, queue: str
) -> None:
    await transport.apply(Topology((CHARGE,)))
    with pika.BlockingConnection(pika.URLParameters(amqp_url)) as connection:
        channel = connection.channel()
        channel.exchange_declare("shop2", "topic")
        channel.queue_bind(queue, "shop2", "order.*")

    (drift,) = await transport.diff(Topology((CHARGE,)))

    assert (drift.kind, drift.what) == ("unexpected", f"binding order.* → {queue} (of exchange shop2)")
    assert "none of this namespace" in drift.found
    assert drift.fix.startswith("unbind it with RabbitMQ's own tools")


async def test_a_changed_queue_is_drift_that_names_the_argument(
    transport: RabbitMQTransport, opened: OpenTransport
) -> None:
    await transport.apply(Topology((CHARGE,)))

    async with opened(delivery_limit=5) as stricter:
        (drift,) = await stricter.diff(Topology((CHARGE,)))

    assert (drift.kind, drift.what) == ("changed", "queue payment.charge")
    assert drift.found == "x-delivery-limit is 20, not 5"
    assert drift.fix.startswith("arguments never change")


@pytest.mark.parametrize("management", ["there", "away"])
async def test_nobody_whose_settings_are_wrong_is_told_to_delete_anything(
    transport: RabbitMQTransport, opened: OpenTransport, management: str
) -> None:
    await transport.apply(Topology((CHARGE,)))
    where = {} if management == "there" else {"management_url": "http://127.0.0.1:9"}

    async with opened(log_max_age=timedelta(days=1), **where) as forgetful:
        (history,) = known(await forgetful.diff(Topology((CHARGE,))))
    async with opened(namespace="others", **where) as stranger:
        drifts = await stranger.diff(Topology((CHARGE,)))
    (queue,) = [drift for drift in drifts if drift.kind == "changed"]

    assert history.what == "queue events.log"
    assert history.fix.startswith("it is the history: deleting it deletes that")
    assert queue.what == "queue payment.charge"
    assert "EVENTBUS_NAMESPACE" in queue.fix
    assert "delete" not in queue.fix


def known(drifts: Sequence[Drift]) -> Sequence[Drift]:
    return [drift for drift in drifts if drift.kind != "unknown"]


async def test_without_the_management_api_drift_of_queues_is_still_found(
    transport: RabbitMQTransport, opened: OpenTransport, rabbitmq: Broker, vhost: str
) -> None:
    await transport.apply(Topology((CHARGE,)))

    async with opened(management_url="http://127.0.0.1:9", delivery_limit=5) as blind:
        drifts = await blind.diff(BOTH)

    found = {(drift.kind, drift.what) for drift in drifts}
    assert {("changed", "queue payment.charge"), ("missing", "queue email.notify")} <= found
    assert ("unknown", "bindings") in found
    assert NOTIFY.name not in {queue["name"] for queue in rabbitmq.api("GET", f"queues/{vhost}")}


async def test_whoever_may_not_configure_is_not_told_to_delete_what_is_there(
    opened: OpenTransport, transport: RabbitMQTransport, rabbitmq: Broker, vhost: str
) -> None:
    await transport.apply(Topology((CHARGE,)))
    nothing = {"configure": "^$", "write": ".*", "read": ".*"}
    rabbitmq.api("PUT", f"permissions/{vhost}/{rabbitmq.user}", nothing)

    async with opened(management_url="http://127.0.0.1:9") as blind:
        drifts = await blind.diff(BOTH)

    assert {drift.kind for drift in known(drifts)} == {"missing"}
    assert "queue email.notify" in {drift.what for drift in drifts}
    arguments, bindings = [drift for drift in drifts if drift.kind == "unknown"]
    assert (arguments.what[:23], bindings.what) == ("arguments of exchange e", "bindings")
    assert "ACCESS_REFUSED" in arguments.found


async def test_without_the_management_api_what_is_in_flight_is_unknown(opened: OpenTransport) -> None:
    async with opened(management_url="http://127.0.0.1:9") as blind:
        await blind.apply(Topology((CHARGE,)))
        await send(blind, an_event(1), an_event(2))

        (stats,) = await blind.stats([CHARGE.name])

    assert (stats.ready, stats.in_flight, stats.dead) == (2, None, 0)


async def test_a_service_that_may_not_declare_is_told_so(
    opened: OpenTransport, transport: RabbitMQTransport, rabbitmq: Broker, vhost: str
) -> None:
    await transport.apply(BOTH)
    nothing = {"configure": "^$", "write": ".*", "read": ".*"}
    rabbitmq.api("PUT", f"permissions/{vhost}/{rabbitmq.user}", nothing)

    async with opened() as limited:
        with pytest.raises(TopologyError, match="ACCESS_REFUSED"):
            await limited.apply(BOTH)


async def test_a_broker_that_is_not_there_is_told_with_its_url_and_no_password() -> None:
    from eventbus.rabbitmq import RabbitMQOptions, RabbitMQTransport

    transport = RabbitMQTransport("amqp://shop:hunter2@127.0.0.1:9/", RabbitMQOptions(connect_timeout=2))
    began = time.perf_counter()

    with pytest.raises(BrokerUnreachable, match=r"amqp://shop:\*\*\*@127\.0\.0\.1:9/") as failure:
        await transport.open()

    assert "hunter2" not in str(failure.value)
    assert time.perf_counter() - began < 10
    await transport.close()


async def test_a_wrong_password_is_told(rabbitmq: Broker, vhost: str) -> None:
    from eventbus.rabbitmq import RabbitMQTransport

    transport = RabbitMQTransport(f"amqp://guest:hunter2@{rabbitmq.host}:{rabbitmq.port}/{vhost}")

    with pytest.raises(BrokerUnreachable, match="ACCESS_REFUSED"):
        await transport.open()
    await transport.close()
