"""What RabbitMQ says of itself, and what it says to whom."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from eventbus.diagnosis.broker import AT_A_TIME
from eventbus.rabbitmq import RabbitMQOptions, RabbitMQTransport
from tests.integration.rabbitmq.scene import BOTH, CHARGE, PATIENCE, an_event, opened_at, send
from tests.support.eventually import eventually

if TYPE_CHECKING:
    from eventbus.broker_report import BrokerReport
    from tests.support.broker import Broker


async def test_connections_say_whose_they_are_and_what_they_are_for(amqp_url: str, rabbitmq: Broker):
    async with opened_at(
        amqp_url, management_url=rabbitmq.http_url, connection_name="eventbus order"
    ) as transport:
        await transport.apply(BOTH)

        async def names() -> bool:
            found = (await transport.inspect()).connections or ()
            return {(each.name, each.purpose, each.state) for each in found} == {
                ("eventbus order publishing", "publishing", "running"),
                ("eventbus order consuming", "consuming", "running"),
            }

        async with transport.consume(CHARGE.name, prefetch=1):
            await eventually(names, within=PATIENCE)


async def test_connections_of_another_namespace_are_left_out(amqp_url: str, rabbitmq: Broker):
    ours = opened_at(amqp_url, management_url=rabbitmq.http_url)
    others = opened_at(amqp_url, management_url=rabbitmq.http_url, namespace="other")
    async with ours as transport, others:

        async def seen_by_the_broker() -> bool:
            path = f"vhosts/{urlsplit(amqp_url).path[1:]}/connections"
            return len(await asyncio.to_thread(rabbitmq.api, "GET", path)) == 2

        await eventually(seen_by_the_broker, within=PATIENCE)
        assert len((await transport.inspect()).connections or ()) == 1


@pytest.mark.parametrize(
    ("tags", "unknown"),
    [
        ("", {"alarms", "connections", "delays", "feature flags"}),
        ("monitoring", {"feature flags"}),
        ("administrator", set[str]()),
    ],
)
async def test_what_our_user_may_not_ask_is_unknown_with_the_reason(
    amqp_url: str, vhost: str, rabbitmq: Broker, tags: str, unknown: set[str]
):
    report = await asyncio.wait_for(_as_seen_by(amqp_url, vhost, rabbitmq, tags), 30)

    assert (report.product, report.is_too_old) == ("RabbitMQ", False)
    assert abs(report.clock_ahead or 0.0) < 5.0  # a busy server tells an old date; doctor warns from here on
    assert report.management is bool(tags)
    # Of a broker that is newer than 3.12 the flags are known without asking.
    assert unknown - {"feature flags"} <= report.unknown.keys() <= unknown
    assert all("401" in reason for reason in report.unknown.values())


async def _as_seen_by(amqp_url: str, vhost: str, rabbitmq: Broker, tags: str) -> BrokerReport:
    user = f"user-{vhost}"
    everything = {"configure": ".*", "write": ".*", "read": ".*"}
    await asyncio.to_thread(rabbitmq.api, "PUT", f"users/{user}", {"password": "one", "tags": tags})
    await asyncio.to_thread(rabbitmq.api, "PUT", f"permissions/{vhost}/{user}", everything)
    at = urlsplit(amqp_url)
    url = f"amqp://{user}:one@{at.hostname}:{at.port}{at.path}"
    try:
        async with opened_at(url, management_url=rabbitmq.http_url) as transport:
            return await transport.inspect()
    finally:
        await asyncio.to_thread(rabbitmq.api, "DELETE", f"users/{user}")


async def test_without_a_management_api_only_what_amqp_tells_is_known(amqp_url: str):
    async with opened_at(amqp_url, management_url="http://127.0.0.1:1") as transport:
        report = await transport.inspect()

    assert (report.product, report.management) == ("RabbitMQ", False)
    assert (report.alarms, report.connections, report.clock_ahead) == (None, None, None)
    assert {"alarms", "connections", "clock", "delays"} <= report.unknown.keys()
    assert (report.held_back, report.undelivered) == (None, None)


async def test_retries_whose_queue_is_full_are_seen_for_they_hold_up_those_of_all_others(
    amqp_url: str, vhost: str, rabbitmq: Broker
):
    late = [an_event(number, queue=CHARGE.name, delay=1) for number in range(AT_A_TIME + 8)]
    small = {"pattern": f"^{CHARGE.name}$", "definition": {"max-length": 1}, "apply-to": "queues"}
    async with opened_at(amqp_url, management_url=rabbitmq.http_url) as transport:
        await transport.apply(BOTH)
        await send(transport, *(an_event(number) for number in range(3)))
        await asyncio.to_thread(rabbitmq.api, "PUT", f"policies/{vhost}/small", small)
        await send(transport, *late)

        async def seen() -> bool:
            return ((await transport.inspect()).held_back or 0) > AT_A_TIME

        await eventually(seen, within=30)


async def test_what_came_due_without_a_queue_is_counted(amqp_url: str, vhost: str, rabbitmq: Broker):
    async with opened_at(amqp_url, management_url=rabbitmq.http_url) as transport:
        await transport.apply(BOTH)
        await asyncio.to_thread(rabbitmq.api, "DELETE", f"queues/{vhost}/{CHARGE.name}")
        await send(transport, an_event(1, queue=CHARGE.name, delay=1))

        async def counted() -> bool:
            report = await transport.inspect()
            return (report.undelivered, report.undelivered_among) == (1, "events.undelivered")

        await eventually(counted, within=30)


class OffClock:
    """A machine whose clock is not the broker's."""

    def __init__(self, ahead: float) -> None:
        self._ahead = timedelta(seconds=ahead)

    def now(self) -> datetime:
        return datetime.now(UTC) + self._ahead

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


@pytest.mark.parametrize("ahead", [90.0, -90.0])
async def test_a_clock_that_is_off_is_told_within_seconds(amqp_url: str, rabbitmq: Broker, ahead: float):
    options = RabbitMQOptions(management_url=rabbitmq.http_url)
    transport = RabbitMQTransport(amqp_url, options, OffClock(-ahead))
    await transport.open()
    try:
        report = await transport.inspect()
    finally:
        await transport.close()

    assert report.clock_ahead == pytest.approx(ahead, abs=5.0)


def test_a_broker_without_a_limit_has_none_here_either(amqp_url: str):
    assert RabbitMQTransport(amqp_url, RabbitMQOptions(consumer_timeout=None)).handling_limit is None
    assert RabbitMQTransport(amqp_url, RabbitMQOptions(consumer_timeout=60.0)).handling_limit == 60.0
