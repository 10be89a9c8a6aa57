"""Two versions of one subscription share its queue while they are rolled out, and what either has bound."""

from __future__ import annotations

from typing import Any

import pytest

from eventbus import Envelope, Event, subscribe
from eventbus.outcome import Ack, DeadLetter, Outcome, Reason
from tests.support.handling import Bench, by_name, delivered


class OrderCreated(Event, type="order.created"):
    order_id: int = 1


class OrderPaid(Event, type="order.paid"):
    pass


def dead(outcome: Outcome) -> Reason:
    assert isinstance(outcome, DeadLetter), outcome
    return outcome.reason


@pytest.mark.parametrize("annotation", [None, dict, OrderCreated, Envelope[OrderCreated]])
@pytest.mark.parametrize("attempt", [1, 3])
async def test_what_it_does_not_subscribe_to_is_a_dead_letter_and_no_handler_runs(
    annotation: Any, attempt: int
):
    ran: list[object] = []

    def handler(event) -> None:
        ran.append(event)

    if annotation is not None:
        handler.__annotations__["event"] = annotation
    shop = Bench(subscribe(OrderCreated, name="handler")(handler))
    await shop.outcome(OrderCreated())
    outcomes = [await shop.outcome(delivered(OrderPaid(), attempt=attempt)) for _ in range(2)]

    assert outcomes[0] == outcomes[1]
    assert dead(outcomes[0]) == Reason.UNKNOWN_TYPE
    assert outcomes[0].error.startswith(
        "Unreadable: this version of shop.handler subscribes to order.created; another version bound its "
        "queue to order.paid: redrive this when only that one runs"
    )
    assert len(ran) == 1


async def test_what_one_of_its_patterns_matches_is_handled():
    ran: list[object] = []
    shop = Bench(subscribe("order.*", "#.shipped", name="handler")(ran.append))
    for event_type in ("order.created", "order.paid", "order.line.shipped"):
        assert await shop.outcome(by_name(event_type, {})) == Ack()
    assert len(ran) == 3
    assert dead(await shop.outcome(by_name("order.line.packed", {}))) == Reason.UNKNOWN_TYPE


async def test_what_is_forged_or_unreadable_is_that_whatever_its_type():
    shop = Bench(subscribe(OrderCreated, name="handler")(lambda event: None))
    for changes, reason in (
        ({"routing_key": "order.paid"}, Reason.FORGED),
        ({"routing_key": "order.paid", "body": b""}, Reason.UNDECODABLE),
    ):
        assert dead(await shop.outcome(delivered(OrderCreated(), **changes))) == reason
