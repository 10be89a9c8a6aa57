"""A broker that allows fewer channels than there are subscriptions: those that have one go on."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from eventbus import Event, Service, subscribe
from eventbus.errors import TopologyError
from eventbus.rabbitmq import RabbitMQTransport
from eventbus.subscription import Subscription
from eventbus.transport import QueueSpec, Topology
from tests.support.broker import Broker
from tests.support.eventually import eventually
from tests.support.load import bus_to
from tests.support.rabbitmq_node import RabbitNode

ALLOWED = 4
"""On a connection for consuming."""
SUBSCRIPTIONS = 8


class Numbered(Event, type="few.numbered"):
    number: int


class Work:
    """More subscriptions than may consume at once."""

    def __init__(self) -> None:
        self.handled: dict[int, set[int]] = defaultdict(set)
        """Numbers of events, by subscription."""
        self.service = Service("few", [self._subscription(place) for place in range(SUBSCRIPTIONS)])

    def have_handled(self, number: int) -> int:
        return sum(number in handled for handled in self.handled.values())

    def _subscription(self, place: int) -> Subscription:
        async def handle(event: Numbered) -> None:
            self.handled[place].add(event.number)

        handle.__name__ = handle.__qualname__ = f"handle{place}"
        return subscribe(Numbered)(handle)


@pytest.fixture
def of_a_connection(node: RabbitNode, node_url: str) -> Iterator[str]:
    """The URL of a broker that negotiates so many channels."""
    usual = node.ctl("eval", "{ok, Most} = application:get_env(rabbit, channel_max), Most.").strip()
    node.ctl("eval", f"application:set_env(rabbit, channel_max, {ALLOWED}).")
    yield node_url
    node.ctl("eval", f"application:set_env(rabbit, channel_max, {usual}).")


@pytest.fixture
def of_a_user(rabbitmq: Broker, vhost: str) -> Iterator[str]:
    """The URL of a user who may have so many channels, and one for publishing."""
    name = f"user-{vhost}"
    rabbitmq.api("PUT", f"users/{name}", {"password": "few", "tags": ""})
    rabbitmq.api("PUT", f"permissions/{vhost}/{name}", {"configure": ".*", "write": ".*", "read": ".*"})
    limit_of(rabbitmq, vhost, ALLOWED + 1)
    at = urlsplit(rabbitmq.amqp_url(vhost))
    yield f"amqp://{name}:few@{at.hostname}:{at.port}/{vhost}"
    rabbitmq.api("DELETE", f"users/{name}")


def limit_of(rabbitmq: Broker, vhost: str, channels: int) -> None:
    rabbitmq.api("PUT", f"user-limits/user-{vhost}/max-channels", {"value": channels})


@pytest.mark.parametrize(("url", "losses"), [("of_a_connection", 0), ("of_a_user", 1)])
async def test_as_many_subscriptions_consume_as_may_and_the_others_say_why_they_do_not(
    url: str, losses: int, request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
):
    """`losses`: of connections. A user's limit is known only when the broker has cut one."""
    work = Work()
    async with bus_to(request.getfixturevalue(url)) as bus:
        await bus.publish(Numbered(number=0))
        worker = await bus.start(work.service)
        for number in range(1, 20):
            await bus.publish(Numbered(number=number))
            await eventually(lambda number=number: work.have_handled(number) >= ALLOWED, within=20)
        assert not worker.is_ready
        await worker.stop()

    assert sum(line.startswith("broker.lost") for line in caplog.messages) == losses
    told = [line for line in caplog.messages if line.startswith("subscription.failed")]
    assert told
    assert all("channel_max" in line and "max-channels" in line for line in told)
    assert not any("topology diff" in line for line in told)


async def test_a_limit_that_was_raised_is_found_out(
    of_a_user: str, rabbitmq: Broker, vhost: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("eventbus.rabbitmq.channels.REMEMBERED", 1.0)
    work = Work()
    async with bus_to(of_a_user) as bus:
        await bus.publish(Numbered(number=0))
        async with bus.running(work.service):
            await bus.publish(Numbered(number=1))
            await eventually(lambda: work.have_handled(1) >= ALLOWED, within=20)

            await asyncio.to_thread(limit_of, rabbitmq, vhost, 100)

            await eventually(lambda: work.have_handled(1) == SUBSCRIPTIONS, within=40)


async def test_what_can_not_be_declared_for_want_of_a_channel_is_told(of_a_user: str):
    transport = RabbitMQTransport(of_a_user)
    await transport.open()
    try:
        link = transport._consuming
        held = [await link.channel(within=5) for _ in range(ALLOWED + 1)]
        with pytest.raises(TopologyError, match="max-channels"):
            await transport.apply(Topology((QueueSpec("few.late", ("few.numbered",)),)))
        assert not any(wire.is_open for wire in held)  # the broker had to tell

        held = [await link.channel(within=5) for _ in range(ALLOWED + 1)]
        with pytest.raises(TopologyError, match="max-channels"):
            await transport.apply(Topology((QueueSpec("few.late", ("few.numbered",)),)))
        assert all(wire.is_open for wire in held)
    finally:
        await transport.close()
