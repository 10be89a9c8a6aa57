from __future__ import annotations

import pytest

from eventbus import subscribe
from eventbus.errors import InvalidEvent
from eventbus.outcome import DeadLetter
from eventbus.transport import Delivery
from tests.support.bad_input import REFUSED, UNHANDLED, OrderPlaced, Refused, Unhandled, body
from tests.support.handling import Bench, a_publisher
from tests.support.scripted import ScriptedTransport


@pytest.mark.parametrize("case", REFUSED, ids=str)
async def test_what_may_not_be_published_is_refused_by_name_limit_and_value_and_nothing_is_sent(
    case: Refused,
):
    transport = ScriptedTransport()
    publisher = a_publisher(transport, events=[OrderPlaced])
    with pytest.raises(InvalidEvent) as caught:
        await publisher.publish(case.event, case.data, **case.options)
    error = caught.value
    assert error.field == case.culprit
    assert case.told in str(error)
    assert str(error).isprintable()
    assert len(str(error)) < 600
    assert error.sent is False
    assert transport.sent == []


@pytest.mark.parametrize("case", UNHANDLED, ids=str)
async def test_what_cannot_be_handled_is_a_dead_letter_at_once_with_its_reason(case: Unhandled):
    ran: list[OrderPlaced] = []

    @subscribe(OrderPlaced)
    async def handler(event: OrderPlaced) -> None:
        ran.append(event)

    delivery = Delivery(case.message(), "shop.handler", 1, redelivered=False, tag=None)
    outcome = await Bench(handler).outcome(delivery)
    assert isinstance(outcome, DeadLetter)
    assert outcome.reason == case.reason
    assert outcome.error.isprintable()
    assert 0 < len(outcome.error) <= 500
    assert ran == []


async def test_the_body_that_these_cases_begin_from_is_right():
    seen: list[OrderPlaced] = []
    case = Unhandled("right", UNHANDLED[0].reason, body())
    bench = Bench(subscribe(OrderPlaced, name="handler")(seen.append))
    await bench.outcome(Delivery(case.message(), "shop.handler", 1, redelivered=False, tag=None))
    assert [each.order_id for each in seen] == [1]
