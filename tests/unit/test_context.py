from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from eventbus import Context, Envelope, Event
from eventbus.errors import InvalidEvent
from tests.support.handling import NOON, a_context, wrapped


class OrderCreated(Event, type="order.created"):
    pass


class OrderPaid(Event, type="order.paid"):
    pass


def cause(event_id: str = "evt_1", **members: Any) -> Envelope[Any]:
    return wrapped(OrderCreated(), event_id=event_id, **members)


async def published_by(context: Context) -> list[str]:
    return [(await context.publish(OrderPaid())).event_id for _ in range(2)]


def test_the_idempotency_key_stays_the_same_over_all_attempts():
    keys = {a_context(cause(), attempt=attempt).idempotency_key for attempt in (1, 2, 5)}
    assert keys == {"shop.handler:evt_1"}


def test_the_envelope_of_a_batch_is_the_first():
    context = a_context(cause("evt_1"), cause("evt_2"))
    assert context.envelope.event_id == "evt_1"
    assert [each.event_id for each in context.envelopes] == ["evt_1", "evt_2"]


async def test_what_is_published_names_its_cause_and_begins_a_flow():
    envelope = await a_context(cause()).publish(OrderPaid())
    assert (envelope.causation_id, envelope.correlation_id, envelope.source) == ("evt_1", "evt_1", "shop")


async def test_what_is_published_stays_in_the_flow_of_its_cause():
    envelope = await a_context(cause(correlation_id="flow-7")).publish("order.paid", {})
    assert (envelope.causation_id, envelope.correlation_id) == ("evt_1", "flow-7")


async def test_what_is_published_waits_for_the_handler_to_succeed():
    context = a_context(cause())
    envelope = await context.publish(OrderPaid())
    assert [outgoing.envelope for outgoing in context.outgoing] == [envelope]


async def test_what_nobody_awaits_is_published_in_its_turn_and_can_be_awaited_anywhere_later():
    context = a_context(cause())
    first = context.publish(OrderPaid(), delay=1)
    async with asyncio.TaskGroup() as group:
        second = group.create_task(context.publish(OrderPaid()))
    (third,) = await asyncio.gather(context.publish(OrderPaid()))

    told = [await first, second.result(), third]
    assert [outgoing.envelope for outgoing in context.outgoing] == told
    assert await first is told[0]


def test_what_breaks_a_rule_is_refused_at_once():
    with pytest.raises(InvalidEvent):
        a_context(cause()).publish("Order!", {})


async def test_a_second_run_publishes_the_same_ids():
    first = await published_by(a_context(cause()))
    assert len(set(first)) == 2
    assert await published_by(a_context(cause(), attempt=2)) == first


async def test_another_cause_gives_other_ids():
    assert await published_by(a_context(cause("evt_2"))) != await published_by(a_context(cause("evt_1")))


async def test_what_is_handled_again_publishes_under_ids_of_its_own():
    live, repaired = a_context(cause()), a_context(cause(), replay="rpl_1")
    rerun, again = (a_context(cause(), replay="rpl_1", reruns=("rpl_1",)) for _ in range(2))
    ids = [await published_by(context) for context in (live, repaired, rerun, again)]
    assert ids[0] == ids[1] != ids[2] == ids[3]


async def test_the_ids_of_a_batch_depend_on_all_that_is_in_it():
    both = await published_by(a_context(cause("evt_1"), cause("evt_2")))
    assert both == await published_by(a_context(cause("evt_1"), cause("evt_2")))
    assert both != await published_by(a_context(cause("evt_1")))
    assert both != await published_by(a_context(cause("evt_1"), cause("evt_3")))


async def test_what_the_handler_says_itself_stands():
    envelope = await a_context(cause()).publish(
        OrderPaid(), event_id="mine", correlation_id="flow", causation_id="parent", key="order-1"
    )
    assert (envelope.event_id, envelope.correlation_id, envelope.causation_id, envelope.key) == (
        "mine",
        "flow",
        "parent",
        "order-1",
    )


async def test_a_handler_can_publish_for_later():
    context = a_context(cause())
    await context.publish(OrderPaid(), delay=timedelta(hours=24))
    await context.publish(OrderPaid(), at=NOON + timedelta(hours=1))
    assert [outgoing.message.delay for outgoing in context.outgoing] == [86400, 3600]


async def test_what_breaks_a_rule_is_refused_where_it_is_published():
    context = a_context(cause())
    with pytest.raises(InvalidEvent):
        await context.publish("Order!", {})
    assert context.outgoing == []
