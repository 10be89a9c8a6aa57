from __future__ import annotations

import asyncio
import functools
import threading

import pytest

from eventbus import Event, subscribe
from eventbus.errors import HandlerTimeout
from eventbus.middleware.timeout import limit_time
from tests.support.handling import a_context, member_of, wrapped


class OrderCreated(Event, type="order.created"):
    pass


@subscribe(OrderCreated, timeout=0.05)
async def handler(event: OrderCreated) -> None: ...


around = functools.partial(limit_time, member_of(handler))


async def test_a_run_within_its_time_is_left_alone():
    ran: list[object] = []

    async def proceed(context: object) -> None:
        await asyncio.sleep(0)
        ran.append(context)

    context = a_context(wrapped(OrderCreated()))
    await around(proceed)(context)
    assert ran == [context]


async def test_a_run_over_its_time_is_cancelled_and_names_its_subscription():
    ended: list[str] = []

    async def hangs(_: object) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")

    with pytest.raises(HandlerTimeout) as caught:
        await around(hangs)(a_context(wrapped(OrderCreated())))
    assert (caught.value.subscription, caught.value.timeout) == ("shop.handler", 0.05)
    assert ended == ["cancelled"]


async def test_a_thread_over_its_time_is_left_behind():
    may_end = threading.Event()

    async def hangs(_: object) -> None:
        await asyncio.to_thread(may_end.wait)

    try:
        with pytest.raises(HandlerTimeout):
            await around(hangs)(a_context(wrapped(OrderCreated())))
    finally:
        may_end.set()  # the loop waits for its threads when it ends


async def test_a_timeout_of_the_handlers_own_stays_what_it_is():
    async def fails(_: object) -> None:
        raise TimeoutError("the bank does not answer")

    with pytest.raises(TimeoutError, match="the bank does not answer") as caught:
        await around(fails)(a_context(wrapped(OrderCreated())))
    assert not isinstance(caught.value, HandlerTimeout)


async def test_a_run_that_is_cancelled_from_outside_is_cancelled():
    async def hangs(_: object) -> None:
        await asyncio.Event().wait()

    running = asyncio.ensure_future(around(hangs)(a_context(wrapped(OrderCreated()))))
    await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
