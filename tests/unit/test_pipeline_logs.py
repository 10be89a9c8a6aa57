from __future__ import annotations

from collections.abc import Callable
from typing import Any

import structlog

from eventbus import Event, RetryPolicy, subscribe
from eventbus.outcome import DeadLetter, Outcome, Reason
from tests.support.handling import Bench, delivered, wrapped

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


async def test_retries_and_dead_letters_are_logged_with_what_operators_look_for():
    envelope = wrapped(OrderCreated(), event_id="evt_1")
    with structlog.testing.capture_logs() as logs:
        shop = bench(failing(ValueError("no")))
        await shop.outcome(delivered(envelope))
        await shop.outcome(delivered(envelope, attempt=5))
    told = {line["event"]: line for line in logs if line["event"].startswith("event.")}
    common = {
        "service": "shop",
        "subscription": "shop.handler",
        "event_id": "evt_1",
        "event_type": "order.created",
    }
    assert told["event.retried"] == {
        **common,
        "event": "event.retried",
        "log_level": "info",
        "attempt": 1,
        "delay": 2,
    }
    assert told["event.dead_lettered"] == {
        **common,
        "event": "event.dead_lettered",
        "log_level": "error",
        "attempt": 5,
        "reason": "exhausted",
        "error": "ValueError: no",
    }


async def test_what_another_program_put_into_a_message_is_logged_without_control_characters():
    odd = delivered(OrderCreated(), event_id="\x1b[2J" + "x" * 1000, routing_key="order\n\x1b[31m")
    with structlog.testing.capture_logs() as logs:
        await bench(failing(AssertionError())).outcome(odd)
    (line,) = logs
    assert line["event_id"].isprintable()
    assert line["event_type"].isprintable()
    assert len(line["event_id"]) < 200
