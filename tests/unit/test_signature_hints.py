"""A parameter is filled by what its annotation means, whatever is written around it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Optional, TypeVar

import pytest
from typing_extensions import TypeAliasType

from eventbus import Context, Depends, Envelope, Event, InTransaction, Service, Transaction, subscribe
from eventbus.errors import InvalidSubscription
from eventbus.signature import Signature, read_signature
from eventbus.testing import TestBus


class OrderCreated(Event, type="order.created"):
    pass


class OrderPaid(Event, type="order.paid"):
    pass


class OrderSent(Event, type="order.sent"):
    pass


class Gateway:
    pass


T = TypeVar("T")
MADE = Depends(Gateway)
SESSION = InTransaction(object)

# What Python 3.12 writes as `type Orders = OrderCreated | OrderPaid`.
Orders = TypeAliasType("Orders", OrderCreated | OrderPaid)
Later = TypeAliasType("Later", "OrderCreated | OrderPaid")
Batched = TypeAliasType("Batched", list[Orders])
TheContext = TypeAliasType("TheContext", Context)
TheTransaction = TypeAliasType("TheTransaction", Transaction | None)
TheGateway = TypeAliasType("TheGateway", Annotated[Gateway, MADE])
Made = TypeAliasType("Made", Annotated[T, MADE], type_params=(T,))


def read(handler: Callable[..., Any], *topics: Any, batched: bool = False) -> Signature:
    return read_signature("shop.handler", handler, topics or (OrderCreated,), batched=batched)


def given(hint: object, default: object = None) -> Callable[..., Any]:
    """A handler with a further parameter."""

    async def handler(event: OrderCreated, thing=default) -> None:
        pass

    handler.__annotations__["thing"] = hint
    return handler


@pytest.mark.parametrize(
    "hint",
    [
        *(Context | None, None | Context, Optional[Context], "Context | None"),  # noqa: UP045
        *(TheContext, TheContext | None, Annotated[Context, "of old"], Annotated[Context | None, "of old"]),
    ],
)
def test_the_context_is_given(hint: object):
    assert read(given(hint)).plan.contexts == ("thing",)


@pytest.mark.parametrize("hint", [Transaction | None, TheTransaction, Annotated[Transaction, "of old"]])
def test_a_handler_with_an_optional_transaction_runs_in_one(hint: object):
    signature = read(given(hint))
    assert (signature.plan.transactions, signature.transaction) == (("thing",), "store")


@pytest.mark.parametrize(
    "hint", [Annotated[object, SESSION] | None, TypeAliasType("Session", Annotated[object, SESSION])]
)
def test_a_handler_with_an_optional_session_runs_in_one(hint: object):
    signature = read(given(hint))
    assert (signature.plan.transactions, signature.transaction) == (("thing",), SESSION)


@pytest.mark.parametrize(
    "hint",
    [
        *(Annotated[Gateway, MADE] | None, Annotated[Gateway | None, MADE], Annotated[TheGateway, "of old"]),
        *(TheGateway, TheGateway | None, Made[Gateway], Made[Gateway] | None),
    ],
)
def test_a_dependency_is_made(hint: object):
    assert read(given(hint)).plan.depends["thing"].depends is MADE


@pytest.mark.parametrize("hint", [int | None, Gateway | None, "int", Annotated[int, "seconds"]])
def test_a_default_stays_where_there_is_nothing_to_give(hint: object):
    plan = read(given(hint)).plan
    assert (plan.contexts, plan.transactions, dict(plan.depends)) == ((), (), {})


async def test_optional_parameters_are_filled_when_the_handler_runs():
    seen: list[object] = []

    @subscribe(OrderCreated)
    async def ship(
        event: OrderCreated,
        context: Context | None = None,
        transaction: Transaction | None = None,
        gateway: Annotated[Gateway, MADE] | None = None,
    ) -> None:
        seen.extend((context, transaction, gateway))

    async with TestBus(Service("shop", [ship])) as bus:
        await bus.publish(OrderCreated())
    assert [each is not None for each in seen] == [True, True, True]


@pytest.mark.parametrize("hint", [Orders, Later, Envelope[Orders], Annotated[Orders, "of old"]])
def test_an_alias_may_stand_for_the_events(hint: object):
    handler = given(int)
    handler.__annotations__["event"] = hint
    expected = {"order.created": OrderCreated, "order.paid": OrderPaid}
    assert read(handler, OrderCreated, OrderPaid).event.classes == expected


def test_an_alias_may_stand_for_one_member_of_a_union():
    handler = given(int)
    handler.__annotations__["event"] = Orders | OrderSent
    topics = (OrderCreated, OrderPaid, OrderSent)
    assert list(read(handler, *topics).event.classes) == [each.__event_type__ for each in topics]


@pytest.mark.parametrize("hint", [Batched, list[Orders]])
def test_an_alias_may_stand_for_the_list_of_a_batch(hint: object):
    handler = given(int)
    handler.__annotations__["event"] = hint
    assert list(read(handler, "order.created", "order.paid", batched=True).event.classes) == [
        "order.created",
        "order.paid",
    ]


class Unevaluated:
    """As Python 3.12 has it of a `type` statement that names what is not there."""

    __type_params__ = ()

    @property
    def __value__(self) -> object:
        raise NameError("name 'Elsewhere' is not defined")


@pytest.mark.parametrize("parameter", ["event", "thing"])
def test_an_alias_of_what_is_not_there_is_refused(parameter: str):
    handler = given(int)
    handler.__annotations__[parameter] = Unevaluated()
    with pytest.raises(InvalidSubscription, match="alias cannot be read: name 'Elsewhere'"):
        read(handler)
