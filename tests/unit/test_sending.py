"""What becomes of an event while the broker is away and a function does the work in line."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from eventbus import Envelope
from eventbus.codec import Codec
from eventbus.errors import BrokerUnreachable, PublishRefused, PublishTimeout, SendFate
from eventbus.outgoing import Wrapped
from eventbus.publisher import Publisher
from eventbus.registry import Registry
from eventbus.sending import OrCalling
from eventbus.testing import VirtualClock
from tests.support.handling import NOON, by_name
from tests.support.picky import PickyTransport


@pytest.fixture
def broker() -> PickyTransport:
    return PickyTransport()


def outgoing(event_id: str) -> Wrapped:
    envelope = by_name("order.created", {}, event_id=event_id)
    return Wrapped(envelope, Codec().encode(envelope))


def calling(broker: PickyTransport, call: Any) -> Publisher:
    return Publisher(
        broker.as_transport(),
        source="shop",
        codec=Codec(),
        registry=Registry(),
        clock=VirtualClock(NOON),
        timeout=10.0,
        sending=OrCalling(broker.as_transport(), call, patience=0.1),
    )


async def test_while_the_broker_is_there_the_function_is_not_called(broker: PickyTransport):
    called: list[str] = []
    receipt = await calling(broker, called.append).publish("order.created", {}, event_id="1")
    assert (receipt.state, broker.has, called) == ("confirmed", ["1"], [])


async def test_while_the_broker_is_away_the_function_is_called_with_the_envelope(broker: PickyTransport):
    broker.is_away = True
    called: list[Envelope[Any]] = []

    async def call(envelope: Envelope[Any]) -> None:
        called.append(envelope)

    receipt = await calling(broker, call).publish("order.created", {"total": 3}, event_id="1")
    assert (receipt.event_id, receipt.state) == ("1", "degraded")
    assert [(each.event_id, each.data) for each in called] == [("1", {"total": 3})]


async def test_a_plain_function_is_called_in_a_thread(broker: PickyTransport):
    broker.is_away = True
    threads: list[int] = []
    await calling(broker, lambda _: threads.append(threading.get_ident())).publish("order.created", {})
    assert threads != [threading.get_ident()]


async def test_a_broker_that_does_not_answer_gets_its_time_and_no_more(broker: PickyTransport):
    broker.sending.clear()
    called: list[Any] = []
    async with asyncio.timeout(5):
        receipt = await calling(broker, called.append).publish("order.created", {})
    assert (receipt.state, len(called)) == ("degraded", 1)


async def test_a_refusal_is_raised(broker: PickyTransport):
    broker.refused = {"1"}
    called: list[Any] = []
    with pytest.raises(PublishRefused):
        await calling(broker, called.append).publish("order.created", {}, event_id="1")
    assert called == []


async def test_an_event_for_later_is_not_handled_now(broker: PickyTransport):
    broker.is_away = True
    called: list[Any] = []
    with pytest.raises(BrokerUnreachable):
        await calling(broker, called.append).publish("order.created", {}, delay=60)
    assert called == []


async def test_an_error_of_the_function_is_the_cause_of_the_one_that_is_raised(broker: PickyTransport):
    broker.sending.clear()

    async def fail(_: Envelope[Any]) -> None:
        raise ConnectionError("the gateway is away too")

    with pytest.raises(PublishTimeout) as raised:
        await calling(broker, fail).publish("order.created", {})
    assert isinstance(raised.value.__cause__, ConnectionError)


async def test_a_plain_function_that_raises_stop_iteration_has_failed_like_any_other(broker: PickyTransport):
    """No future takes it until Python 3.12: whoever publishes would wait for ever."""
    broker.is_away = True

    def call(_: Envelope[Any]) -> object:
        return next(iter([]))

    with pytest.raises(BrokerUnreachable, match="on_unavailable failed") as raised:
        await asyncio.wait_for(calling(broker, call).publish("order.created", {}), 5)
    assert isinstance(raised.value.__cause__, RuntimeError)


async def test_of_several_events_only_those_not_confirmed_are_given_to_the_function(broker: PickyTransport):
    broker.is_away, broker.confirms_before_it_fails = True, {"1", "3"}
    called: list[str] = []
    sending = OrCalling(broker.as_transport(), lambda each: called.append(each.event_id), patience=0.1)
    states = await sending.send([outgoing("1"), outgoing("2"), outgoing("3")], timeout=1)
    assert (list(states), called) == (["confirmed", "degraded", "confirmed"], ["2"])


async def test_what_the_function_took_before_it_failed_is_not_to_be_published_again(broker: PickyTransport):
    broker.is_away, broker.confirms_before_it_fails = True, {"1"}
    called: list[str] = []

    def call(envelope: Envelope[Any]) -> None:
        if envelope.event_id == "3":
            raise ConnectionError("the gateway is away too")
        called.append(envelope.event_id)

    sending = OrCalling(broker.as_transport(), call, patience=0.1)
    with pytest.raises(BrokerUnreachable) as raised:
        await sending.send([outgoing(each) for each in "1234"], timeout=1)

    taken, left = SendFate.CONFIRMED, SendFate.NOT_SENT
    assert (called, raised.value.fates, raised.value.sent) == (["2"], (taken, taken, left, left), None)
    assert "on_unavailable failed for 3" in str(raised.value)
    assert "2 of 4" in str(raised.value)


async def test_where_the_function_fails_at_once_nothing_is_taken(broker: PickyTransport):
    broker.is_away = True

    def fail(_: Envelope[Any]) -> None:
        raise ConnectionError("the gateway is away too")

    with pytest.raises(BrokerUnreachable) as raised:
        await OrCalling(broker.as_transport(), fail, patience=0.1).send(
            [outgoing("1"), outgoing("2")], timeout=1
        )

    assert (raised.value.fates, raised.value.sent) == ((SendFate.NOT_SENT,) * 2, False)
