from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Any

import pytest

from eventbus import Context, Event, Reject, RetryLater, RetryPolicy, subscribe
from eventbus.errors import PublishTimeout, SendFate
from eventbus.headers import REPLAY_ID
from eventbus.outcome import Ack, DeadLetter, Outcome, Reason, RetryAfter
from tests.support.eventually import eventually
from tests.support.handling import Bench, by_name, delivered, wrapped

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


# --- how one delivery ends


async def test_a_handled_event_is_acked():
    seen: list[OrderCreated] = []
    assert await bench(seen.append).outcome(OrderCreated(order_id=7)) == Ack()
    assert seen == [OrderCreated(order_id=7)]


async def test_an_error_is_retried_by_the_policy():
    assert await bench(failing(ValueError("no"))).outcome(OrderCreated()) == RetryAfter(2.0, "ValueError: no")
    second = delivered(OrderCreated(), attempt=2)
    assert await bench(failing(ValueError("no"))).outcome(second) == RetryAfter(4.0, "ValueError: no")


async def test_the_last_attempt_ends_in_the_dead_letters():
    last = delivered(OrderCreated(), attempt=5)
    assert await bench(failing(ValueError("no"))).outcome(last) == DeadLetter(
        Reason.EXHAUSTED, "ValueError: no"
    )


async def test_a_handler_can_ask_to_be_tried_later_and_can_reject():
    assert await bench(failing(RetryLater(120))).outcome(OrderCreated()) == RetryAfter(
        120, "RetryLater: asked to be tried again after 120 s"
    )
    assert dead(await bench(failing(Reject("no card"))).outcome(OrderCreated())) == Reason.REJECTED


async def test_a_handler_that_hangs_is_ended_at_its_timeout_and_retried():
    async def hangs(event: OrderCreated) -> None:
        await asyncio.Event().wait()

    outcome = await bench(hangs, timeout=0.05).outcome(OrderCreated())
    assert isinstance(outcome, RetryAfter)
    assert outcome.error.startswith("HandlerTimeout: shop.handler did not finish within 0.05 s")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", Reason.UNDECODABLE),
        (b"{}", Reason.INVALID_ENVELOPE),
    ],
)
async def test_what_cannot_be_read_is_a_dead_letter_and_no_handler_runs(body: bytes, reason: Reason):
    ran: list[object] = []
    assert dead(await bench(ran.append).outcome(delivered(OrderCreated(), body=body))) == reason
    assert ran == []


async def test_data_that_does_not_fit_is_a_dead_letter():
    odd = by_name("order.created", {"order_id": "many"})
    assert dead(await bench(failing(AssertionError())).outcome(odd)) == Reason.INVALID_DATA


# --- nothing that a handler raises goes further


@pytest.mark.parametrize("plain", [True, False])
@pytest.mark.parametrize(
    ("error", "told"),
    [
        (SystemExit(1), "HandlerExited: shop.handler raised SystemExit: 1"),
        (pytest.fail.Exception("no"), "HandlerExited: shop.handler raised Failed: no"),
        (BaseExceptionGroup("all", [SystemExit(2)]), "HandlerExited: shop.handler raised BaseExceptionGroup"),
    ],
)
async def test_a_handler_cannot_end_its_process(error: BaseException, told: str, plain: bool):
    def plain_handler(event: OrderCreated) -> None:
        raise error

    outcome = await bench(plain_handler if plain else failing(error)).outcome(OrderCreated())
    assert isinstance(outcome, RetryAfter)
    assert outcome.error.startswith(told)


async def test_a_handler_that_calls_exit_is_retried_like_any_other():
    outcomes = await bench(lambda event: sys.exit("bye"), retry=RetryPolicy(max_attempts=1)).outcome(
        OrderCreated()
    )
    assert outcomes == DeadLetter(Reason.EXHAUSTED, "HandlerExited: shop.handler raised SystemExit: bye")


async def test_a_cancellation_that_nobody_asked_for_is_an_error_of_the_handler():
    async def awaits_something_cancelled(event: OrderCreated) -> None:
        task = asyncio.ensure_future(asyncio.Event().wait())
        await asyncio.sleep(0)
        task.cancel()
        await task

    for handler in (awaits_something_cancelled, failing(asyncio.CancelledError())):
        outcome = await bench(handler).outcome(OrderCreated())
        assert isinstance(outcome, RetryAfter)
        assert outcome.error.startswith("HandlerCancelled: shop.handler")


async def test_a_cancellation_from_outside_ends_the_run_without_an_outcome():
    begun = asyncio.Event()

    async def hangs(event: OrderCreated) -> None:
        begun.set()
        await asyncio.Event().wait()

    running = asyncio.create_task(bench(hangs).outcome(OrderCreated()))
    await begun.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_an_error_without_a_readable_message_is_retried_like_any_other():
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    assert isinstance(await bench(failing(Mute())).outcome(OrderCreated()), RetryAfter)


# --- what a handler publishes


async def test_what_a_handler_returns_and_publishes_leaves_when_it_has_succeeded_in_order():
    async def handler(event: OrderCreated, context: Context) -> list[Event]:
        await context.publish("audit.written", {"n": 1})
        assert shop.published == []
        return [OrderPaid(), OrderPaid()]

    shop = bench(handler)
    cause = wrapped(OrderCreated(), event_id="evt_1", correlation_id="flow-7")
    assert await shop.outcome(cause) == Ack()
    assert [each.event_type for each in shop.published] == ["audit.written", "order.paid", "order.paid"]
    assert {(e.causation_id, e.correlation_id, e.source) for e in shop.published} == {
        ("evt_1", "flow-7", "shop")
    }


async def test_a_plain_handler_publishes_though_it_cannot_await():
    def handler(event: OrderCreated, context: Context) -> None:
        context.publish("audit.written", {"n": 1})
        context.publish(OrderPaid())

    shop = bench(handler)
    assert await shop.outcome(OrderCreated()) == Ack()
    assert [each.event_type for each in shop.published] == ["audit.written", "order.paid"]


async def test_a_second_run_publishes_under_the_same_ids():
    shop = bench(lambda event: [OrderPaid(), OrderPaid()])
    cause = wrapped(OrderCreated(), event_id="evt_1")
    await shop.outcome(delivered(cause))
    await shop.outcome(delivered(cause, attempt=2))
    ids = [each.event_id for each in shop.published]
    assert ids[:2] == ids[2:]
    assert len(set(ids)) == 2


async def test_nothing_leaves_when_the_handler_fails():
    async def handler(event: OrderCreated, context: Context) -> None:
        await context.publish(OrderPaid())
        raise ValueError("no")

    shop = bench(handler)
    assert isinstance(await shop.outcome(OrderCreated()), RetryAfter)
    assert shop.published == []


async def test_an_event_whose_consequences_could_not_be_sent_is_retried():
    shop = bench(lambda event: OrderPaid())
    shop.transport.send_error = PublishTimeout("no confirm within 10 s", [SendFate.UNKNOWN])
    outcome = await shop.outcome(OrderCreated())
    assert isinstance(outcome, RetryAfter)
    assert outcome.error.startswith("PublishTimeout")


async def test_a_handler_that_returns_what_may_not_be_published_fails():
    async def handler(event: OrderCreated) -> Event:
        return Event()

    outcome = await bench(handler).outcome(OrderCreated())
    assert isinstance(outcome, RetryAfter)
    assert outcome.error.startswith("UnregisteredEvent")


# --- replays


async def test_a_replay_runs_the_handler_with_its_id():
    seen: list[str | None] = []

    async def handler(event: OrderCreated, context: Context) -> None:
        seen.append(context.replay)

    shop = bench(handler)
    await shop.outcome(OrderCreated())
    await shop.outcome(delivered(OrderCreated(), headers={REPLAY_ID: "rpl_1"}))
    assert seen == [None, "rpl_1"]


@pytest.mark.parametrize("body", [None, b"no json"])
async def test_a_subscription_may_pass_over_replays_whatever_is_in_them(body: bytes | None):
    ran: list[object] = []
    changes = {} if body is None else {"body": body}
    replayed = delivered(OrderCreated(), headers={REPLAY_ID: "rpl_1"}, **changes)
    shop = bench(ran.append, on_replay="skip")
    assert await shop.outcome(replayed) == Ack()
    assert ran == []
    await shop.outcome(OrderCreated())
    assert len(ran) == 1


async def test_a_replay_of_events_that_it_is_not_bound_for_is_passed_over():
    ran: list[object] = []
    shop = bench(ran.append)
    stray = delivered(OrderCreated(), headers={REPLAY_ID: "rpl_1"}, routing_key="order.shipped")
    assert await shop.outcome(stray) == Ack()
    assert ran == []


async def test_many_deliveries_are_processed_side_by_side():
    inside: list[int] = []
    may_go_on = asyncio.Event()

    async def handler(event: OrderCreated) -> None:
        inside.append(event.order_id)
        await may_go_on.wait()

    shop = bench(handler)
    running = [asyncio.create_task(shop.outcome(OrderCreated(order_id=number))) for number in range(3)]
    await eventually(lambda: sorted(inside) == [0, 1, 2])
    may_go_on.set()
    assert await asyncio.gather(*running) == [Ack()] * 3
