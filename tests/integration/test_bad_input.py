"""The whole list of bad input on a real bus: nothing of it leaves, and nothing of it stops the next event."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pika
import pytest
import pytest_asyncio

from eventbus import Bus, Envelope, Event, RetryPolicy, Service, subscribe
from eventbus.errors import InvalidEvent
from eventbus.settings import Settings
from eventbus.transport import DeadLetterEntry, Message
from tests.support.bad_input import ORDER, REFUSED, UNHANDLED, OrderPlaced, body
from tests.support.eventually import eventually

QUEUE = "shop.audit"


class Audit:
    """A service that takes every order event there is, known or not, and never retries."""

    def __init__(self) -> None:
        self.envelopes: list[Envelope[Event]] = []
        self.service = Service("shop", [subscribe("order.#", name="audit", retry=RetryPolicy())(self.audit)])

    async def audit(self, envelope: Envelope[Event]) -> None:
        self.envelopes.append(envelope)

    @property
    def seen(self) -> list[Event]:
        return [envelope.data for envelope in self.envelopes]


class Setting:
    """A bus with the audit running, and a way to put raw messages where it gets them."""

    def __init__(self, bus: Bus, audit: Audit) -> None:
        self.bus = bus
        self.audit = audit

    async def put(self, messages: Sequence[Message]) -> None:
        """As another program would; pika shares no code with us."""
        if self.bus.settings.url.startswith("amqp"):
            await asyncio.to_thread(put_with_pika, self.bus.settings.url, messages)
        else:
            await self.bus.transport.send(messages, timeout=30)

    async def dead_letters(self) -> Sequence[DeadLetterEntry]:
        return await self.bus.transport.dead_letters(QUEUE, limit=1000)


@pytest_asyncio.fixture(params=["sqlite", "rabbitmq"])
async def setting(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[Setting]:
    url = (
        request.getfixturevalue("amqp_url")
        if request.param == "rabbitmq"
        else f"sqlite:///{tmp_path}/events.db"
    )
    audit = Audit()
    async with Bus(url, source="shop", settings=Settings()) as bus, bus.running(audit.service):
        yield Setting(bus, audit)


def put_with_pika(url: str, messages: Sequence[Message]) -> None:
    with pika.BlockingConnection(pika.URLParameters(url)) as connection, connection.channel() as channel:
        channel.confirm_delivery()  # what is not confirmed is forgotten with its channel
        for message in messages:
            properties = pika.BasicProperties(content_type=message.content_type, delivery_mode=2)
            channel.basic_publish("events", message.routing_key, message.body, properties)


def good(order_id: int) -> Message:
    numbered = body(event_id=f"evt_good_{order_id}", data={"order_id": order_id})
    return Message(numbered, "order.placed")


async def test_what_cannot_be_handled_is_a_dead_letter_with_its_reason_and_the_next_event_is_handled(
    setting: Setting,
):
    raw = [message for at, case in enumerate(UNHANDLED) for message in (case.message(), good(at))]
    await setting.put(raw)

    await eventually(lambda: len(setting.audit.seen) == len(UNHANDLED), within=30)
    handled = sorted(event.order_id for event in setting.audit.seen if isinstance(event, OrderPlaced))
    assert handled == list(range(len(UNHANDLED)))

    async def all_dead() -> bool:
        return len(await setting.dead_letters()) == len(UNHANDLED)

    await eventually(all_dead, within=30)
    dead = {(each.message.routing_key, each.message.body): each for each in await setting.dead_letters()}
    found = {case.name: dead[case.routing_key, case.body].reason for case in UNHANDLED}
    assert found == {case.name: str(case.reason) for case in UNHANDLED}
    assert {each.attempts for each in dead.values()} == {1}
    assert all(each.error.isprintable() for each in dead.values())
    content_types = {case.name: dead[case.routing_key, case.body].message.content_type for case in UNHANDLED}
    assert content_types == {case.name: case.content_type for case in UNHANDLED}


async def test_what_may_not_be_published_is_refused_and_nothing_of_it_leaves(setting: Setting):
    for case in REFUSED:
        with pytest.raises(InvalidEvent) as caught:
            await setting.bus.publish(case.event, case.data, **case.options)
        assert (case.name, caught.value.field) == (case.name, case.culprit)
        assert case.told in str(caught.value)
    await setting.bus.publish(ORDER)

    await eventually(lambda: setting.audit.seen, within=10)
    assert setting.audit.seen == [ORDER]
    assert await setting.dead_letters() == []


EVERYTHING: dict[str, Any] = {
    "event_id": "!" * 254 + "~",
    "key": "ä" * 127,
    "correlation_id": "c" * 255,
    "causation_id": "p" * 255,
    "headers": {
        "tenant": "größe",
        "n" * 128: -(2**63),
        "nested": [[[[[[[["deep", None, True, 1.5, b"\x00\xff"]]]]]]]],
        "table": {"ä" * 64: {"": []}},
        "large": "x" * 60_000,
    },
}


async def test_what_uses_every_limit_to_the_full_arrives_as_it_was_sent(setting: Setting):
    longest = "order." + "x" * 184
    spare = 2**20 - 2_000
    await setting.bus.publish(longest, {"text": "x" * spare, "deep": nested(97)}, **EVERYTHING)

    async def gone() -> bool:
        return len(await setting.dead_letters()) == 1

    await eventually(gone, within=10)
    (dead,) = await setting.dead_letters()
    assert (dead.reason, dead.message.routing_key) == ("unknown-type", longest)
    assert dead.message.event_id == EVERYTHING["event_id"]
    assert dead.message.correlation_id == EVERYTHING["correlation_id"]
    assert {name: dead.message.headers[name] for name in EVERYTHING["headers"]} == EVERYTHING["headers"]
    assert len(dead.message.body) > spare


def nested(depth: int) -> object:
    return {"a": nested(depth - 1)} if depth else 1


async def test_times_that_amqp_cannot_carry_travel_in_the_body(setting: Setting):
    moments = [
        datetime(1, 1, 1, tzinfo=UTC),
        datetime(1960, 1, 1, tzinfo=UTC),
        datetime(2025, 2, 15, 12, 0, 0, 123_456, tzinfo=UTC),
        datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    ]
    for number, moment in enumerate(moments):
        await setting.bus.publish(Envelope.wrap(ORDER, event_id=f"evt_{number}", timestamp=moment))
    await eventually(lambda: len(setting.audit.envelopes) == len(moments), within=10)
    assert sorted(each.timestamp for each in setting.audit.envelopes) == moments
