"""A broker of several hosts, of which some are dead."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from eventbus.errors import BrokerUnreachable
from eventbus.ids import new_event_id
from tests.support.eventually import eventually
from tests.support.fault_proxy import FaultProxy
from tests.support.ledger import Ledger
from tests.support.load import Publishing, all_handled, auditing, bus_to

DEAD = "127.0.0.1:1"


def with_hosts(url: str, *hosts: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=f"{parts.username}:{parts.password}@{','.join(hosts)}").geturl()


def host_of(url: str) -> str:
    return urlsplit(url).netloc.rpartition("@")[2]


async def test_a_dead_host_beside_a_living_one_keeps_nobody_from_work(amqp_url: str, ledger: Ledger):
    for hosts in ((DEAD, host_of(amqp_url)), (host_of(amqp_url), DEAD)):
        async with (
            bus_to(with_hosts(amqp_url, *hosts)) as bus,
            bus.running(auditing(ledger)),
        ):
            assert await Publishing(bus, ledger).publish(new_event_id())
            await all_handled(ledger)


async def test_when_the_host_that_is_connected_dies_the_other_one_takes_over(amqp_url: str, ledger: Ledger):
    async with FaultProxy.between(amqp_url) as (first, one), FaultProxy.between(amqp_url) as (_, two):
        url = with_hosts(amqp_url, host_of(one), host_of(two))
        async with bus_to(url) as bus, bus.running(auditing(ledger)):
            publishing = Publishing(bus, ledger, timeout=10.0)
            assert await publishing.publish(new_event_id())
            await first.close()
            for event_id in (new_event_id(), new_event_id()):
                await eventually(lambda event_id=event_id: publishing.publish(event_id), within=20)
            await all_handled(ledger)


async def test_hosts_that_are_all_dead_are_all_named_and_the_password_is_not():
    with pytest.raises(BrokerUnreachable) as failed:
        async with bus_to(f"amqp://guest:hunter2@{DEAD},127.0.0.1:2/"):
            pass

    problem = str(failed.value)
    assert "; 127.0.0.1:2: " in problem
    assert f": {DEAD}: " in problem
    assert "hunter2" not in problem
    assert failed.value.sent is False
