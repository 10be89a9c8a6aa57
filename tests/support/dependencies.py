"""Dependencies filled as in a service, for one run of a handler."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from eventbus import Context, Depends, Event
from eventbus.dependency import Needs, SharedLifetime
from eventbus.signature import read_signature
from tests.support.handling import a_context, wrapped


class OrderCreated(Event, type="order.created"):
    pass


class Diary:
    """What the factories of a test have done, in order; each test has its own."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.made = 0

    def note(self, line: str) -> None:
        self.lines.append(line)


async def run(
    handler: Callable[..., Any], lifetime: SharedLifetime | None = None, context: Context | None = None
) -> Any:
    """One run of a handler, filled as in a service."""
    plan = read_signature("shop.handler", handler, (OrderCreated,), batched=False).plan
    context = context or a_context(wrapped(OrderCreated()))
    async with Needs(lifetime or SharedLifetime(), context) as needs:
        keywords = await needs.fill(plan)
        return await handler(OrderCreated(), **keywords)


def handler_of(depends: Depends) -> Callable[..., Any]:
    """A handler that returns what the factory has made."""

    async def handler(event: OrderCreated, thing: object) -> object:
        return thing

    handler.__annotations__["thing"] = Annotated[object, depends]
    return handler
