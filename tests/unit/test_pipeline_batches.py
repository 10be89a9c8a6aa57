from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from eventbus import Batch, Context, Envelope, Event, Reject, RetryPolicy, subscribe
from eventbus.outcome import Ack, DeadLetter, Outcome, Reason, RetryAfter
from tests.support.handling import Bench, delivered

NO_JITTER = RetryPolicy(jitter=False)


class OrderCreated(Event, type="order.created"):
    order_id: int = 1


class OrderPaid(Event, type="order.paid"):
    pass


def bench(function: Callable[..., Any], **options: Any) -> Bench:
    options.setdefault("retry", NO_JITTER)
    return Bench(subscribe(OrderCreated, name="handler", **options)(function))


def failing(error: BaseException) -> Callable[..., Any]:
    async def handler(event) -> None:
        raise error

    return handler


def dead(outcome: Outcome) -> Reason:
    assert isinstance(outcome, DeadLetter), outcome
    return outcome.reason


def in_batches(function: Callable[..., Any], **options: Any) -> Bench:
    return bench(function, batch=Batch(size=10), **options)


async def test_a_batch_is_handled_in_one_call_and_acked_together():
    seen: list[list[OrderCreated]] = []
    orders = [OrderCreated(order_id=number) for number in range(3)]
    assert await in_batches(seen.append).process(*(delivered(order) for order in orders)) == [Ack()] * 3
    assert seen == [orders]


async def test_what_cannot_be_read_leaves_the_rest_of_its_batch_alone():
    seen: list[list[OrderCreated]] = []
    outcomes = await in_batches(seen.append).process(
        delivered(OrderCreated(order_id=1)),
        delivered(OrderCreated(), body=b"no json"),
        delivered(OrderCreated(order_id=3)),
    )
    assert [type(outcome) for outcome in outcomes] == [Ack, DeadLetter, Ack]
    assert seen == [[OrderCreated(order_id=1), OrderCreated(order_id=3)]]


async def test_a_batch_of_which_nothing_can_be_read_runs_no_handler():
    ran: list[object] = []
    outcomes = await in_batches(ran.append).process(*(delivered(OrderCreated(), body=b"") for _ in range(2)))
    assert [dead(outcome) for outcome in outcomes] == [Reason.UNDECODABLE] * 2
    assert ran == []


async def test_a_batch_that_fails_is_retried():
    outcomes = await in_batches(failing(ValueError("no"))).process(
        *(delivered(OrderCreated()) for _ in range(3))
    )
    assert outcomes == [RetryAfter(2.0, "ValueError: no")] * 3


@pytest.mark.parametrize("error", [Reject("no card"), KeyError("no retry for this")])
async def test_an_error_that_one_event_would_die_of_makes_each_of_a_batch_try_again_alone(error: Exception):
    shop = in_batches(failing(error), retry=RetryPolicy(give_up_on=(KeyError,)))
    outcomes = await shop.process(delivered(OrderCreated()), delivered(OrderCreated()))
    assert [(type(outcome), outcome.delay) for outcome in outcomes if isinstance(outcome, RetryAfter)] == [
        (RetryAfter, 0.0),
        (RetryAfter, 0.0),
    ]
    assert dead(await shop.outcome(delivered(OrderCreated(), attempt=2))) == Reason.REJECTED


async def test_where_only_one_attempt_is_allowed_a_batch_that_fails_dies():
    shop = in_batches(failing(ValueError("no")), retry=RetryPolicy(max_attempts=1))
    outcomes = await shop.process(delivered(OrderCreated()), delivered(OrderCreated()))
    assert [dead(outcome) for outcome in outcomes] == [Reason.EXHAUSTED] * 2


async def test_the_context_of_a_batch_has_all_its_envelopes_and_the_highest_attempt():
    seen: list[tuple[int, int]] = []

    async def handler(events: list[Envelope[OrderCreated]], context: Context) -> None:
        seen.append((context.attempt, len(context.envelopes)))

    await in_batches(handler).process(
        delivered(OrderCreated(), attempt=2), delivered(OrderCreated(), attempt=1)
    )
    assert seen == [(2, 2)]
