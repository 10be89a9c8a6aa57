from __future__ import annotations

import pytest

from eventbus import Context, Event, subscribe
from eventbus.context import Proceed
from eventbus.middleware import DEFAULT, Middleware, compose
from eventbus.middleware.logging import log_failures
from eventbus.middleware.timeout import limit_time
from eventbus.service import Member
from tests.support.handling import a_context, member_of, wrapped


class OrderCreated(Event, type="order.created"):
    pass


@subscribe(OrderCreated)
async def never(event: OrderCreated) -> None: ...


MEMBER = member_of(never)


def noting(name: str, lines: list[str]) -> Middleware:
    def around(_member: Member, proceed: Proceed) -> Proceed:
        async def layer(context: Context) -> None:
            lines.append(f"{name} before")
            await proceed(context)
            lines.append(f"{name} after")

        return layer

    return around


def context() -> Context:
    return a_context(wrapped(OrderCreated()))


async def test_the_first_layer_is_the_outermost():
    lines: list[str] = []

    async def handler(_: Context) -> None:
        lines.append("handler")

    await compose([noting("outer", lines), noting("inner", lines)], MEMBER, handler)(context())
    assert lines == ["outer before", "inner before", "handler", "inner after", "outer after"]


async def test_without_layers_only_the_handler_runs():
    ran: list[Context] = []

    async def handler(context: Context) -> None:
        ran.append(context)

    given = context()
    await compose([], MEMBER, handler)(given)
    assert ran == [given]


async def test_an_error_passes_through_every_layer():
    lines: list[str] = []

    async def handler(_: Context) -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await compose([noting("outer", lines), noting("inner", lines)], MEMBER, handler)(context())
    assert lines == ["outer before", "inner before"]


async def test_a_layer_may_do_something_instead():
    def instead(_member: Member, _proceed: Proceed) -> Proceed:
        async def skip(_context: Context) -> None:
            return

        return skip

    async def handler(_: Context) -> None:
        raise AssertionError("ran")

    await compose([instead], MEMBER, handler)(context())


def test_the_default_order_is_one_list():
    assert (log_failures, limit_time) == DEFAULT
