"""A broker that is there, and does not do what is asked: frozen, alarmed, full, or with no faith in us."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest

from eventbus.errors import BrokerUnreachable, PublishRefused, PublishTimeout, SendFailed
from eventbus.ids import new_event_id
from tests.support.broker import Broker
from tests.support.eventually import eventually
from tests.support.fault_proxy import FaultProxy
from tests.support.ledger import Ledger
from tests.support.load import SEEN, SLACK, TYPE, Publishing, all_handled, auditing, bus_to
from tests.support.rabbitmq_node import RabbitNode

ALARMS = {
    "memory": ("set_vm_memory_high_watermark", "0.00001", "0.4"),
    "disk": ("set_disk_free_limit", "9999GB", "50MB"),
}


async def test_a_frozen_broker_costs_a_publish_its_timeout_and_is_used_again_when_it_thaws(
    node: RabbitNode, node_url: str, ledger: Ledger
):
    async with bus_to(node_url) as bus, bus.running(auditing(ledger)):
        publishing = Publishing(bus, ledger)
        assert await publishing.publish(new_event_id())
        with frozen(node):
            began = time.monotonic()
            with pytest.raises(PublishTimeout) as failed:
                await bus.publish(TYPE, {"order_id": 1}, timeout=1.0)
            assert time.monotonic() - began < 1.0 + SLACK
        assert failed.value.sent is None
        assert await publishing.publish(new_event_id())
        await all_handled(ledger)


async def test_a_broker_that_stays_frozen_counts_as_dead_and_is_no_cancellation(
    node: RabbitNode, node_url: str, ledger: Ledger, caplog: pytest.LogCaptureFixture
):
    async with bus_to(f"{node_url}?heartbeat=1") as bus, bus.running(auditing(ledger)):
        publishing = Publishing(bus, ledger, timeout=10.0)
        assert await publishing.publish(new_event_id())
        with frozen(node):
            ends = await asyncio.gather(
                *(bus.publish(TYPE, {"order_id": 1}, timeout=8.0) for _ in range(10)),
                return_exceptions=True,
            )
            assert {type(end) for end in ends} == {BrokerUnreachable}
            assert "no sign of life" in caplog.text
            assert "CancelledError" not in caplog.text
        await publishing_works_again(publishing)
        await all_handled(ledger)


@contextmanager
def frozen(node: RabbitNode) -> Iterator[None]:
    node.pause()
    try:
        yield
    finally:
        node.resume()


async def publishing_works_again(publishing: Publishing) -> None:
    event_id = new_event_id()
    await eventually(lambda: publishing.publish(event_id), within=30)


@pytest.mark.parametrize("alarm", ALARMS)
async def test_in_an_alarm_publishers_are_told_in_time_and_consumers_go_on(
    node: RabbitNode, node_url: str, ledger: Ledger, alarm: str
):
    waiting = asyncio.Event()

    async def wait(_: object) -> None:
        await waiting.wait()

    command, raised, cleared = ALARMS[alarm]
    async with bus_to(node_url) as bus, bus.running(auditing(ledger, wait, prefetch=10, concurrency=10)):
        patient = Publishing(bus, ledger)
        for _ in range(50):
            assert await patient.publish(new_event_id())
        await asyncio.to_thread(node.ctl, command, raised)
        try:
            publishing = Publishing(bus, ledger, timeout=1.0)
            await eventually(lambda: refused(publishing), within=15)
            assert publishing.slowest < 1.0 + SLACK
            waiting.set()
            await all_handled(ledger)
        finally:
            await asyncio.to_thread(node.ctl, command, cleared)
        await publishing_works_again(publishing)
        await all_handled(ledger)


async def test_a_worker_that_starts_in_an_alarm_with_something_to_send_handles_what_is_there(
    node: RabbitNode, node_url: str, ledger: Ledger, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    place = tmp_path / "shop.db"
    store = f"sqlite:///{place}"
    async with bus_to(node_url, store=store, relay="off") as bus:
        await bus.transport.apply(auditing(ledger).topology)
        for _ in range(10):
            assert await Publishing(bus, ledger).publish(new_event_id())
        with closing(sqlite3.connect(place, isolation_level=None)) as connection:
            connection.execute("BEGIN")
            await bus.publish(TYPE, {"order_id": 1}, transaction=connection)
            connection.execute("COMMIT")

    command, raised, cleared = ALARMS["memory"]
    await asyncio.to_thread(node.ctl, command, raised)
    try:
        async with bus_to(node_url, store=store) as bus:
            await eventually(
                lambda: [line for line in caplog.messages if line.startswith("broker.blocked")], within=15
            )
            async with bus.running(auditing(ledger)):
                await all_handled(ledger)
    finally:
        await asyncio.to_thread(node.ctl, command, cleared)


async def refused(publishing: Publishing) -> bool:
    return not await publishing.publish(new_event_id())


async def test_a_full_queue_refuses_and_what_other_queues_took_is_a_copy_of_the_same_id(
    rabbitmq: Broker, vhost: str, amqp_url: str, ledger: Ledger
):
    gate = asyncio.Event()

    async def wait(_: object) -> None:
        await gate.wait()

    limited = {"pattern": "^audit.seen$", "apply-to": "queues", "definition": {"max-length": 5}}
    async with bus_to(amqp_url) as bus:
        await bus.publish(TYPE, {"order_id": 1})  # the history is a sibling, and it takes everything
        async with bus.running(auditing(ledger, wait, prefetch=1, concurrency=1)):
            await asyncio.to_thread(rabbitmq.api, "PUT", f"policies/{vhost}/full", limited)
            publishing = Publishing(bus, ledger)
            await eventually(lambda: refused(publishing), within=20)
            assert isinstance(publishing.failures[0], PublishRefused)
            assert publishing.failures[0].sent is None
            (left_over,) = set(ledger.published) - ledger.confirmed

            gate.set()
            await eventually(lambda: publishing.publish(left_over))
            await all_handled(ledger)

        assert set(ledger.handled[SEEN]) == set(ledger.published)


async def test_a_password_that_is_revoked_is_told_once_and_asked_about_ever_more_seldom(
    rabbitmq: Broker, vhost: str, ledger: Ledger, caplog: pytest.LogCaptureFixture
):
    url = await asyncio.to_thread(a_user, rabbitmq, vhost, "first")
    async with (
        FaultProxy.between(url) as (proxy, proxied),
        bus_to(proxied) as bus,
        bus.running(auditing(ledger)),
    ):
        publishing = Publishing(bus, ledger, timeout=2.0)
        assert await Publishing(bus, ledger).publish(new_event_id())
        await asyncio.to_thread(a_user, rabbitmq, vhost, "second")
        await eventually(lambda: asyncio.to_thread(cut_connections, rabbitmq, vhost), within=10)
        # One line each of the two connections, however often they try.
        await eventually(lambda: len(refusals(caplog)) == 2, within=10)
        assert not await publishing.publish(new_event_id())
        assert isinstance(publishing.failures[0], SendFailed)
        assert "ACCESS_REFUSED" in str(publishing.failures[0])
        tries = proxy.accepted
        await asyncio.sleep(3)
        assert proxy.accepted - tries <= 6  # of two connections
        assert len(refusals(caplog)) == 2
        assert not any("second" in line or "first" in line for line in caplog.messages)

        await asyncio.to_thread(a_user, rabbitmq, vhost, "first")
        await publishing_works_again(publishing)
        await all_handled(ledger, within=30)


def a_user(broker: Broker, vhost: str, password: str) -> str:
    """The URL of a user of the virtual host, who has this password from now on."""
    name = f"user-{vhost}"
    broker.api("PUT", f"users/{name}", {"password": password, "tags": ""})
    everything = {"configure": ".*", "write": ".*", "read": ".*"}
    broker.api("PUT", f"permissions/{vhost}/{name}", everything)
    at = urlsplit(broker.amqp_url(vhost))
    return f"amqp://{name}:{password}@{at.hostname}:{at.port}/{vhost}"


def cut_connections(broker: Broker, vhost: str) -> bool:
    """Whether it has cut both, of publishing and of consuming.

    The list of them is half a second old: one that was cut before the other was listed would never make two.
    """
    connections = broker.api("GET", f"vhosts/{vhost}/connections")
    if len(connections) != 2:
        return False
    for connection in connections:
        broker.api("DELETE", f"connections/{quote(connection['name'])}")
    return True


def refusals(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the log says of connections that cannot be made."""
    return [line for line in caplog.messages if line.startswith("broker.unreachable")]
