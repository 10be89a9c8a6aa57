from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import pytest

from eventbus import Envelope, Event
from eventbus.codec import Codec
from eventbus.errors import InvalidEvent, PublishTimeout, SendFate, UnregisteredEvent
from eventbus.publisher import Publisher, Receipt
from tests.support.handling import NOON, a_publisher, by_name, wrapped
from tests.support.scripted import ScriptedTransport

LONGEST = 2**28 - 1


class OrderCreated(Event, type="order.created", version="2.0"):
    total: Decimal


class OrderCreatedV1(Event, type="order.created", version="1.0"):
    total: Decimal


class OrderPaid(Event, type="order.paid"):
    pass


ORDER = OrderCreated(total=Decimal("3.00"))


@pytest.fixture
def transport() -> ScriptedTransport:
    return ScriptedTransport()


@pytest.fixture
def publisher(transport: ScriptedTransport) -> Publisher:
    return a_publisher(transport, events=[OrderCreated, OrderCreatedV1])


def sent(transport: ScriptedTransport) -> list[Envelope[Any]]:
    return [Codec().decode(message) for message in transport.sent]


# --- one event


async def test_an_event_is_wrapped_and_sent(publisher: Publisher, transport: ScriptedTransport):
    receipt = await publisher.publish(ORDER)
    (envelope,) = sent(transport)
    assert receipt == Receipt(envelope.event_id, "confirmed")
    assert (envelope.event_type, envelope.version, envelope.source) == ("order.created", "2.0", "shop")
    assert (envelope.timestamp, envelope.data) == (NOON, {"total": "3.00"})
    assert (envelope.correlation_id, envelope.causation_id, envelope.key) == (None, None, None)


async def test_each_event_has_an_id_of_its_own(publisher: Publisher):
    assert len({(await publisher.publish(ORDER)).event_id for _ in range(3)}) == 3


async def test_what_is_said_when_publishing_is_in_the_envelope(
    publisher: Publisher, transport: ScriptedTransport
):
    receipt = await publisher.publish(
        ORDER,
        event_id="mine",
        key="order-1",
        correlation_id="flow",
        causation_id="parent",
        headers={"tenant": "t"},
    )
    (envelope,) = sent(transport)
    assert (receipt.event_id, envelope.event_id, envelope.key) == ("mine", "mine", "order-1")
    assert (envelope.correlation_id, envelope.causation_id) == ("flow", "parent")
    assert transport.sent[0].headers == {"tenant": "t"}


async def test_an_envelope_is_sent_as_it_is(publisher: Publisher, transport: ScriptedTransport):
    envelope = by_name("room.booked", {"room": 7}, source="hotel", key="room-7", version="3.1")
    await publisher.publish(envelope, correlation_id="flow", key="ignored")
    assert sent(transport) == [envelope.with_(correlation_id="flow")]


async def test_an_envelope_that_was_upcast_is_sent_on_under_the_version_of_its_data(
    publisher: Publisher, transport: ScriptedTransport
):
    await publisher.publish(wrapped(ORDER).with_(version="1.0"))
    assert [(each.version, each.data) for each in sent(transport)] == [("2.0", {"total": "3.00"})]


async def test_an_envelope_around_an_event_of_another_type_is_refused(publisher: Publisher):
    with pytest.raises(InvalidEvent, match=r"data of order.created is OrderPaid, which is no order.created"):
        await publisher.publish(wrapped(ORDER).with_(data=OrderPaid()))


async def test_an_envelope_is_checked_again_before_it_is_sent(
    publisher: Publisher, transport: ScriptedTransport
):
    with pytest.raises(InvalidEvent, match=r"^event_id"):
        await publisher.publish(wrapped(ORDER).with_(event_id=""))
    assert transport.sent == []


# --- by name


async def test_an_event_by_name_is_the_newest_version_of_its_class(
    publisher: Publisher, transport: ScriptedTransport
):
    await publisher.publish("order.created", {"total": 3})
    assert [(each.version, each.data) for each in sent(transport)] == [("2.0", {"total": "3"})]


async def test_an_event_by_name_may_be_of_an_older_version(
    publisher: Publisher, transport: ScriptedTransport
):
    await publisher.publish("order.created", MappingProxyType({"total": "3.00"}), version="1.0")  # type: ignore[arg-type]
    assert [each.version for each in sent(transport)] == ["1.0"]


async def test_an_event_that_no_class_describes_is_sent_as_it_is(
    publisher: Publisher, transport: ScriptedTransport
):
    await publisher.publish("room.booked", {"room": 7, "guests": ["a"]})
    await publisher.publish("room.booked", {}, version="4.2")
    assert [(each.event_type, each.version, each.data) for each in sent(transport)] == [
        ("room.booked", "1.0", {"room": 7, "guests": ["a"]}),
        ("room.booked", "4.2", {}),
    ]


async def test_where_the_events_are_known_a_misspelt_one_is_refused(transport: ScriptedTransport):
    publisher = a_publisher(transport, events=[OrderCreated], closed=True)
    with pytest.raises(UnregisteredEvent, match=r"did you mean 'order.created'"):
        await publisher.publish("order.craeted", {})
    with pytest.raises(UnregisteredEvent, match=r"version .* known are 2.0"):
        await publisher.publish("order.created", {}, version="9.0")


async def test_an_event_by_name_needs_its_data(publisher: Publisher):
    for data in (None, [], "text", 7):
        with pytest.raises(InvalidEvent, match=r"^data of room.booked must be a dict"):
            await publisher.publish("room.booked", data)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "event", [None, 7, {"total": 3}, OrderCreated, b"order.created", ("order.created", {})]
)
async def test_what_is_no_event_is_refused(publisher: Publisher, event: Any):
    with pytest.raises(InvalidEvent, match="must be an Event, an Envelope, or an event type"):
        await publisher.publish(event)


async def test_what_goes_with_a_name_only_is_refused_beside_an_event(publisher: Publisher):
    with pytest.raises(InvalidEvent, match=r"^data goes with an event type only"):
        await publisher.publish(ORDER, {"total": 4})
    with pytest.raises(InvalidEvent, match=r"^version goes with an event type only"):
        await publisher.publish(ORDER, version="1.0")


# --- later


@pytest.mark.parametrize(
    ("option", "seconds"),
    [
        ({"delay": 5}, 5),
        ({"delay": 0.25}, 0.25),
        ({"delay": timedelta(hours=24)}, 86400),
        ({"delay": LONGEST}, LONGEST),
        ({"at": NOON + timedelta(minutes=1)}, 60),
        ({"at": datetime(2025, 2, 15, 14, tzinfo=timezone(timedelta(hours=1)))}, 3600),
    ],
)
async def test_an_event_for_later_is_scheduled(
    publisher: Publisher, transport: ScriptedTransport, option: Any, seconds: float
):
    assert (await publisher.publish(ORDER, **option)).state == "scheduled"
    assert transport.sent[0].delay == seconds


@pytest.mark.parametrize(
    "option", [{"delay": 0}, {"delay": timedelta(0)}, {"at": NOON}, {"at": NOON - timedelta(1)}]
)
async def test_what_is_due_already_is_sent_at_once(
    publisher: Publisher, transport: ScriptedTransport, option: Any
):
    assert (await publisher.publish(ORDER, **option)).state == "confirmed"
    assert transport.sent[0].delay == 0


@pytest.mark.parametrize(
    "option",
    [
        {"delay": -1},
        {"delay": timedelta(seconds=-1)},
        {"delay": LONGEST + 1},
        {"delay": math.nan},
        {"delay": math.inf},
        {"delay": "5"},
        {"at": datetime(2025, 2, 15)},  # noqa: DTZ001 -- naive on purpose
        {"at": datetime.max.replace(tzinfo=UTC)},
        {"at": "tomorrow"},
        {"at": 1739620800},
        {"delay": 1, "at": NOON},
    ],
)
async def test_a_time_that_cannot_be_is_refused_by_name(
    publisher: Publisher, transport: ScriptedTransport, option: dict[str, Any]
):
    with pytest.raises(InvalidEvent) as caught:
        await publisher.publish(ORDER, **option)
    assert caught.value.field == next(iter(option))
    assert transport.sent == []


# --- how long, and what else may be said


async def test_the_timeout_is_the_buss_unless_said_otherwise(
    publisher: Publisher, transport: ScriptedTransport
):
    await publisher.publish(ORDER)
    await publisher.publish(ORDER, timeout=0.5)
    await publisher.publish_many([ORDER], timeout=2)
    assert transport.timeouts == [10.0, 0.5, 2]


@pytest.mark.parametrize("timeout", [0, -1, math.nan, math.inf])
async def test_a_timeout_is_above_zero_and_ends(
    publisher: Publisher, transport: ScriptedTransport, timeout: float
):
    with pytest.raises(InvalidEvent, match=r"^timeout must be above 0 seconds, and finite"):
        await publisher.publish(ORDER, timeout=timeout)
    assert transport.sent == []


async def test_a_misspelt_option_is_refused(publisher: Publisher, transport: ScriptedTransport):
    with pytest.raises(TypeError, match=r"no option 'dealy'; did you mean 'delay'\?"):
        await publisher.publish(ORDER, dealy=5)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="no option 'priority'; there are at, causation_id"):
        await publisher.publish_many([ORDER], priority=5)  # type: ignore[call-arg]
    assert transport.sent == []


async def test_an_error_of_the_broker_reaches_the_caller(publisher: Publisher, transport: ScriptedTransport):
    transport.send_error = PublishTimeout("no confirm", [SendFate.UNKNOWN])
    with pytest.raises(PublishTimeout):
        await publisher.publish(ORDER)


# --- many


async def test_many_events_are_sent_together_and_in_order(publisher: Publisher, transport: ScriptedTransport):
    events = [OrderCreated(total=Decimal(number)) for number in range(100)]
    receipts = await publisher.publish_many(iter(events), key="order-1")
    assert [each.data["total"] for each in sent(transport)] == [str(number) for number in range(100)]
    assert [receipt.event_id for receipt in receipts] == [each.event_id for each in sent(transport)]
    assert {each.key for each in sent(transport)} == {"order-1"}
    assert len(transport.timeouts) == 1


async def test_many_may_be_none(publisher: Publisher, transport: ScriptedTransport):
    assert await publisher.publish_many([]) == []
    assert transport.timeouts == []


async def test_of_many_events_none_is_sent_when_one_is_refused(
    publisher: Publisher, transport: ScriptedTransport
):
    with pytest.raises(InvalidEvent):
        await publisher.publish_many([ORDER, wrapped(ORDER).with_(event_id=""), ORDER])
    assert transport.sent == []


async def test_many_events_cannot_share_one_id(publisher: Publisher, transport: ScriptedTransport):
    with pytest.raises(InvalidEvent, match=r"^event_id is of one event"):
        await publisher.publish_many([ORDER, ORDER], event_id="mine")
    assert transport.sent == []
