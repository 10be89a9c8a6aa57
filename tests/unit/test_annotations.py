"""Where a handler may come from, and how its annotations are read there."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from eventbus import Context, Event
from eventbus.errors import InvalidSubscription
from eventbus.signature import EventParameter, read_signature

if TYPE_CHECKING:
    pass


class OrderCreated(Event, type="order.created"):
    pass


def one(event_class: type[Event]) -> EventParameter:
    return EventParameter(as_dict=False, classes={event_class.__event_type__: event_class})


def read(handler: Callable[..., Any], topic: type[Event] = OrderCreated) -> EventParameter:
    return read_signature("shop.handler", handler, [topic], batched=False).event


def refused(handler: Callable[..., Any]) -> str:
    with pytest.raises(InvalidSubscription) as caught:
        read(handler)
    return caught.value.problem


def annotated(hint: object) -> Callable[..., Any]:
    async def handler(event) -> None:
        pass

    handler.__annotations__["event"] = hint
    return handler


class Shop:
    async def method(self, event: OrderCreated, context: Context) -> None: ...

    @classmethod
    async def of_class(cls, event: OrderCreated) -> None: ...

    @staticmethod
    async def static(event: OrderCreated) -> None: ...

    async def __call__(self, event: OrderCreated) -> None: ...


async def with_gateway(gateway: object, event: OrderCreated, *, currency: str = "EUR") -> None: ...


@pytest.mark.parametrize(
    "handler",
    [
        Shop().method,
        Shop.of_class,
        Shop.static,
        Shop(),
        functools.partial(with_gateway, object()),
        functools.partial(functools.partial(with_gateway, object()), currency="USD"),
        functools.partial(Shop().method),
    ],
)
def test_methods_partials_and_callable_objects_are_read_like_functions(handler: Callable[..., Any]):
    assert read(handler) == one(OrderCreated)


def test_a_lambda_is_read_like_a_function():
    assert read(lambda event: None) == one(OrderCreated)


def test_a_decorated_handler_is_read_as_it_was_written():
    namespace: dict[str, Any] = {"functools": functools}
    exec(  # noqa: S102 -- a decorator out of another module, which does not know our classes
        "def logged(function):\n"
        "    @functools.wraps(function)\n"
        "    async def wrapper(*args, **kwargs):\n"
        "        return await function(*args, **kwargs)\n"
        "    return wrapper\n",
        namespace,
    )

    async def handler(event: OrderCreated, context: Context) -> None: ...

    assert read(namespace["logged"](handler)) == one(OrderCreated)


def test_a_method_that_is_not_bound_is_refused():
    assert "nothing fills the parameter 'event'" in refused(Shop.method)


def test_a_class_defined_within_a_function_is_known_when_it_is_the_topic():
    class Local(Event, type="local.happened"):
        pass

    async def handler(event: Local) -> None: ...

    assert read(handler, Local) == one(Local)


def test_a_handler_may_use_a_variable_that_gets_its_value_later():
    async def handler(event: OrderCreated) -> None:
        assert later

    assert read(handler) == one(OrderCreated)
    later = 1


def test_what_the_handler_returns_need_not_be_known():
    async def handler(event: OrderCreated) -> Nowhere: ...  # type: ignore[name-defined]  # noqa: F821

    assert read(handler) == one(OrderCreated)


@pytest.mark.parametrize(
    "text",
    [
        "Nowhere",
        "OnlyForTypeCheckers",
        "functools.nowhere",
        "Envelope[Nowhere]",
        "not an expression",
        "",
    ],
)
def test_an_annotation_that_cannot_be_read_is_told_with_its_reason(text: str):
    problem = refused(annotated(text))
    assert "cannot be read" in problem
    assert "module level" in problem
