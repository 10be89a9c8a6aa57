"""Three nodes, of which some die: what the loss of a minority and of the majority does to events."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from functools import partial
from urllib.parse import quote, urlsplit

import pytest

from eventbus.errors import SendFailed
from tests.conformance.sizes import EVENTS_BEFORE_AND_AFTER
from tests.conftest import RUN_DIRECTORY
from tests.support.cluster import Cluster
from tests.support.eventually import eventually
from tests.support.ledger import Ledger
from tests.support.load import SEEN, SLACK, TYPE, Publishing, all_handled, auditing, bus_to
from tests.support.rabbitmq_node import SETTLING

TIMEOUT = 5.0
pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def nodes(pytestconfig: pytest.Config) -> Iterator[Cluster]:
    """To be asked for as `cluster`: one takes longer to start than each of the tests."""
    cluster = Cluster(pytestconfig.stash[RUN_DIRECTORY])
    yield cluster
    cluster.remove()


@pytest.fixture
def cluster(nodes: Cluster) -> Cluster:
    """All of it runs, whatever the test before has done."""
    nodes.start()
    return nodes


async def test_of_three_nodes_the_leader_may_die_under_load_and_with_two_gone_publish_fails_in_time(
    cluster: Cluster, ledger: Ledger
):
    first, *_ = cluster.nodes.values()
    vhost = await asyncio.to_thread(cluster.create_vhost)
    leader = await the_leader(cluster, vhost, first.amqp_url(vhost), ledger)
    other = next(name for name in cluster.nodes if name != leader)
    async with (
        bus_to(cluster.nodes[other].amqp_url(vhost)) as bus,
        bus.running(auditing(ledger)),
    ):
        publishing = Publishing(bus, ledger, timeout=TIMEOUT)
        async with publishing.going_on():
            await publishing.confirmed(100, within=30)
            await asyncio.to_thread(cluster.nodes[leader].kill)
            # The gap: until the next one is confirmed. How long all of them take is the machine's business.
            await publishing.confirmed(1, within=15)
            await publishing.confirmed(EVENTS_BEFORE_AND_AFTER, within=120)
        await all_handled(ledger, within=30)
        assert publishing.slowest < TIMEOUT + SLACK

        third = next(name for name in cluster.nodes if name not in {leader, other})
        await asyncio.to_thread(cluster.nodes[third].kill)
        began = time.monotonic()
        with pytest.raises(SendFailed):
            await bus.publish(TYPE, {"order_id": 1}, timeout=2.0)
        assert time.monotonic() - began < 2.0 + SLACK

        await asyncio.to_thread(cluster.start)
        async with publishing.going_on():
            await publishing.confirmed(50, within=60)
        await all_handled(ledger, within=60)

    assert set(ledger.published) - set(ledger.handled[SEEN]) == set()


async def the_leader(cluster: Cluster, vhost: str, url: str, ledger: Ledger) -> str:
    """Of the subscription's queue, which exists from now on."""
    async with bus_to(url) as bus, bus.running(auditing(ledger)):
        await asyncio.sleep(SETTLING)
        return await eventually(
            lambda: asyncio.to_thread(cluster.leader_of, vhost, SEEN), despite=KeyError, within=10
        )


async def test_of_the_hosts_in_the_url_the_one_that_is_connected_dies_and_the_worker_goes_to_another(
    cluster: Cluster, ledger: Ledger
):
    vhost = await asyncio.to_thread(cluster.create_vhost)
    hosts = ",".join(urlsplit(node.amqp_url()).netloc.rpartition("@")[2] for node in cluster.nodes.values())
    async with bus_to(f"amqp://guest:guest@{hosts}/{vhost}") as bus, bus.running(auditing(ledger)):
        publishing = Publishing(bus, ledger, timeout=TIMEOUT)
        async with publishing.going_on():
            await publishing.confirmed(50, within=30)
            for node in await eventually(lambda: asyncio.to_thread(connected, cluster, vhost), within=15):
                await asyncio.to_thread(cluster.nodes[node].kill)
                await eventually(partial(asyncio.to_thread, elsewhere, cluster, vhost, node), within=40)
                # RabbitMQ 3.10 may find no leader for a stream whose node has died until that is back.
                await asyncio.to_thread(cluster.start)
                await publishing.confirmed(50, within=60)
                await eventually(lambda: asyncio.to_thread(cluster.has_all_replicas, vhost), within=60)
        await all_handled(ledger, within=60)

    assert set(ledger.published) - set(ledger.handled[SEEN]) == set()


def connected(cluster: Cluster, vhost: str) -> set[str]:
    """The names of the nodes that hold our connections, once both are listed."""
    found = cluster.running().broker.api("GET", f"vhosts/{quote(vhost, safe='')}/connections")
    return {connection["node"] for connection in found} if len(found) == 2 else set()


def elsewhere(cluster: Cluster, vhost: str, node: str) -> bool:
    """Whether both connections are up, and none of them at this node."""
    return bool(nodes := connected(cluster, vhost)) and node not in nodes
