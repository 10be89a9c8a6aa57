from __future__ import annotations

import pytest
import structlog

from eventbus import Context, Event, Reject, RetryLater, subscribe
from eventbus.errors import HandlerTimeout
from eventbus.store import StoreUnavailable
from tests.support.handling import Bench, delivered, wrapped


class OrderCreated(Event, type="order.created"):
    pass


async def logged(error: Exception | None) -> list[structlog.typing.EventDict]:
    """What is said at warning level when a handler ends so."""

    @subscribe(OrderCreated)
    async def handler(event: OrderCreated) -> None:
        if error is not None:
            raise error

    with structlog.testing.capture_logs() as lines:
        envelope = wrapped(OrderCreated(), event_id="evt_1", correlation_id="flow-7")
        await Bench(handler).outcome(delivered(envelope, attempt=2))
    return [line for line in lines if line["log_level"] == "warning"]


async def test_a_handler_that_succeeds_is_no_news():
    assert await logged(None) == []


async def test_a_failed_run_is_told_with_its_event_and_its_traceback():
    (line,) = await logged(ValueError("no such \x1b[31mcard"))
    assert line == {
        "event": "handler.failed",
        "log_level": "warning",
        "service": "shop",
        "subscription": "shop.handler",
        "event_id": "evt_1",
        "event_type": "order.created",
        "attempt": 2,
        "correlation_id": "flow-7",
        "error": "ValueError: no such �[31mcard",
        "exc_info": True,
    }


@pytest.mark.parametrize(
    "error",
    [
        Reject("no card"),
        RetryLater(1),
        HandlerTimeout("shop.handler", 1),
        StoreUnavailable("postgresql://db", "it does not answer in time"),
    ],
)
async def test_an_expected_error_is_told_without_a_traceback(
    error: Exception, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("eventbus.once.PAUSE", 0.01)  # until a run that its store has left is repeated
    assert {line["exc_info"] for line in await logged(error)} == {False}


async def test_the_handlers_own_log_carries_its_event():
    @subscribe(OrderCreated)
    async def handler(event: OrderCreated, context: Context) -> None:
        context.log.info("card.charged", charge="ch_1")

    with structlog.testing.capture_logs() as lines:
        await Bench(handler).outcome(wrapped(OrderCreated(), event_id="evt_1"))
    assert lines == [
        {
            "event": "card.charged",
            "log_level": "info",
            "service": "shop",
            "subscription": "shop.handler",
            "event_id": "evt_1",
            "event_type": "order.created",
            "attempt": 1,
            "correlation_id": "evt_1",
            "charge": "ch_1",
        }
    ]
