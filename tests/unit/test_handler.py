from __future__ import annotations

import asyncio
import contextvars
import functools
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import structlog

from eventbus import Batch, Context, Envelope, Event, subscribe
from eventbus.errors import Unreadable
from eventbus.outcome import Reason
from tests.support.handling import Bench, a_context, by_name, wrapped

REQUEST = contextvars.ContextVar[str]("REQUEST", default="none")


class OrderCreated(Event, type="order.created"):
    order_id: int = 1


class OrderPaid(Event, type="order.paid"):
    pass


async def run(bench: Bench, *envelopes: Envelope[Any]) -> Context:
    """The context after one run, with what the handler published in it."""
    context = a_context(*(bench.handler.read(each) for each in envelopes))
    await bench.handler.run(context)
    return context


def order(order_id: int = 1) -> Envelope[Any]:
    return by_name("order.created", {"order_id": order_id})


# --- what it is given


async def test_a_handler_gets_the_event():
    seen: list[object] = []
    await run(Bench(subscribe(OrderCreated, name="handler")(seen.append)), order(7))
    assert seen == [OrderCreated(order_id=7)]


async def test_a_handler_by_name_gets_the_data_as_a_dict():
    seen: list[object] = []
    await run(Bench(subscribe("order.created", name="handler")(seen.append)), order(7))
    assert seen == [{"order_id": 7}]


async def test_a_handler_gets_the_envelope_where_it_asks_for_it():
    seen: list[Envelope[OrderCreated]] = []

    @subscribe(OrderCreated)
    async def handler(event: Envelope[OrderCreated]) -> None:
        seen.append(event)

    sent = order(7)
    await run(Bench(handler), sent)
    assert seen[0].event_id == sent.event_id
    assert seen[0].data == OrderCreated(order_id=7)


async def test_a_batch_handler_gets_a_list_in_order():
    seen: list[list[OrderCreated]] = []

    @subscribe(OrderCreated, batch=Batch(size=3))
    async def handler(events: list[OrderCreated]) -> None:
        seen.append(events)

    await run(Bench(handler), order(1), order(2))
    assert seen == [[OrderCreated(order_id=1), OrderCreated(order_id=2)]]


async def test_a_handler_of_patterns_gets_every_event_that_its_modules_know():
    seen: list[Event] = []

    @subscribe(OrderCreated, "order.*")
    async def handler(event: Event) -> None:
        seen.append(event)

    bench = Bench(handler)
    await run(bench, order(7))
    await run(bench, by_name("order.paid", {}))
    assert seen == [OrderCreated(order_id=7), OrderPaid()]


def test_an_event_that_the_handler_does_not_take_is_unreadable():
    @subscribe(OrderCreated)
    async def handler(event: OrderCreated) -> None: ...

    with pytest.raises(
        Unreadable, match=r"order.paid is none of what the handler takes: order.created"
    ) as caught:
        Bench(handler).handler.read(by_name("order.paid", {}))
    assert caught.value.reason == Reason.UNKNOWN_TYPE


def test_an_event_of_a_pattern_that_no_class_describes_is_unreadable():
    @subscribe("room.*")
    async def handler(event: Event) -> None: ...

    with pytest.raises(Unreadable, match=r"no class describes room.booked"):
        Bench(handler).handler.read(by_name("room.booked", {}))


# --- how it is called


async def test_a_plain_function_runs_in_a_thread_with_the_context_variables_of_its_delivery():
    seen: list[tuple[bool, str]] = []

    @subscribe(OrderCreated)
    def handler(event: OrderCreated) -> None:
        seen.append((threading.current_thread() is threading.main_thread(), REQUEST.get()))

    REQUEST.set("r-1")
    await run(Bench(handler), order())
    assert seen == [(False, "r-1")]


class Shop:
    def __init__(self) -> None:
        self.seen: list[OrderCreated] = []

    async def handle(self, event: OrderCreated) -> None:
        self.seen.append(event)

    async def __call__(self, event: OrderCreated) -> None:
        self.seen.append(event)


def logged(function: Callable[[OrderCreated], Coroutine[Any, Any, None]]) -> Callable[[OrderCreated], Any]:
    """A decorator that forgot to be a coroutine function."""

    @functools.wraps(function)
    def wrapper(event: OrderCreated) -> Any:
        return function(event)

    return wrapper


@pytest.mark.parametrize(
    "handler_of",
    [
        lambda shop: shop.handle,
        lambda shop: shop,
        lambda shop: functools.partial(shop.handle),
        lambda shop: logged(shop.handle),
        lambda shop: lambda event: shop(event),  # noqa: PLW0108 -- the point
    ],
)
async def test_whatever_gives_a_coroutine_is_awaited(handler_of: Callable[[Shop], Any]):
    shop = Shop()
    await run(Bench(subscribe(OrderCreated, name="handler")(handler_of(shop))), order(7))
    assert shop.seen == [OrderCreated(order_id=7)]


@pytest.mark.parametrize("error", [ValueError("no"), StopIteration(7), StopAsyncIteration(), KeyError()])
async def test_an_error_comes_out_of_the_thread_at_once(error: Exception):
    @subscribe(OrderCreated)
    def handler(event: OrderCreated) -> None:
        raise error

    with pytest.raises((type(error), RuntimeError)) as caught:
        await asyncio.wait_for(run(Bench(handler), order()), 5)
    assert caught.value is error or caught.value.__cause__ is error


# --- what it returns


@pytest.mark.parametrize("returned", [None, [], (), [None]])
async def test_a_handler_may_return_nothing(returned: object):
    bench = Bench(subscribe(OrderCreated, name="handler")(lambda event: returned))
    assert (await run(bench, order())).outgoing == []


@pytest.mark.parametrize(
    "returned",
    [OrderPaid(), [OrderPaid()], (OrderPaid(), None), wrapped(OrderPaid()), [wrapped(OrderPaid())]],
)
async def test_a_returned_event_or_a_list_of_events_is_published(returned: object):
    bench = Bench(subscribe(OrderCreated, name="handler")(lambda event: returned))
    context = await run(bench, order())
    assert [outgoing.envelope.data for outgoing in context.outgoing] == [OrderPaid()]


@pytest.mark.parametrize("odd", [{"order_id": 1}, "order.paid", 7, True, {OrderPaid()}, object(), [7]])
async def test_anything_else_that_is_returned_is_passed_over_with_a_warning(odd: object):
    with structlog.testing.capture_logs() as logs:
        bench = Bench(subscribe(OrderCreated, name="handler")(lambda event: odd))
        context = await run(bench, order())
    assert context.outgoing == []
    told = odd[0] if isinstance(odd, list) else odd
    assert [(each["event"], each["returned"]) for each in logs] == [
        ("handler.odd_return", type(told).__qualname__)
    ]
