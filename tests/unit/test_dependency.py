from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass
from typing import Annotated, Any

import pytest

from eventbus import Context, Depends
from eventbus.dependency import SharedLifetime
from eventbus.errors import InvalidSubscription
from eventbus.signature import read_signature
from tests.support.dependencies import Diary, OrderCreated, handler_of, run
from tests.support.handling import a_context, wrapped


def refused(depends: Depends) -> str:
    with pytest.raises(InvalidSubscription) as caught:
        read_signature("shop.handler", handler_of(depends), (OrderCreated,), batched=False)
    return caught.value.problem


# --- every kind of factory


@dataclass
class Gateway:
    url: str = "http://localhost"


class AsyncMaker:
    async def __call__(self) -> str:
        return "made"


class Pool:
    """A factory that yields, once it was made."""

    def __call__(self) -> Iterator[str]:
        yield "made"


class AsyncPool:
    async def __call__(self) -> AsyncIterator[str]:
        yield "made"


def plain() -> str:
    return "made"


async def asynchronous() -> str:
    await asyncio.sleep(0)
    return "made"


def generator() -> Iterator[str]:
    yield "made"


async def async_generator() -> AsyncIterator[str]:
    yield "made"


@pytest.mark.parametrize("scope", ["service", "delivery"])
@pytest.mark.parametrize(
    "factory",
    [
        *(plain, asynchronous, generator, async_generator, AsyncMaker(), Pool(), AsyncPool(), lambda: "made"),
        *(contextmanager(generator), asynccontextmanager(async_generator)),
    ],
)
async def test_each_kind_of_factory_makes_its_object(factory: Callable[..., Any], scope: Any):
    assert await run(handler_of(Depends(factory, scope))) == "made"


async def test_a_class_is_a_factory():
    class Empty:
        pass

    assert await run(handler_of(Depends(Gateway))) == Gateway()
    assert isinstance(await run(handler_of(Depends(Empty))), Empty)


@pytest.mark.parametrize("made", [Pool, closing])
async def test_what_happens_to_be_a_context_manager_or_to_yield_is_handed_over_as_it_is(made: Any):
    given = made() if made is Pool else made(None)
    assert await run(handler_of(Depends(lambda: given))) is given


# --- how often


@pytest.mark.parametrize(("scope", "made"), [("service", 1), ("delivery", 2)])
async def test_an_object_is_made_once_for_the_service_or_for_each_delivery(scope: Any, made: int):
    lifetime = SharedLifetime()
    handler = handler_of(Depends(object, scope))
    assert len({id(each) for each in [await run(handler, lifetime), await run(handler, lifetime)]}) == made


async def test_many_deliveries_at_once_share_one_making():
    diary = Diary()

    async def slow() -> object:
        diary.made += 1
        await asyncio.sleep(0.01)
        return object()

    lifetime = SharedLifetime()
    handler = handler_of(Depends(slow))
    objects = await asyncio.gather(*(run(handler, lifetime) for _ in range(50)))
    assert (diary.made, len({id(each) for each in objects})) == (1, 1)


async def test_two_parameters_of_one_delivery_share_what_is_made_for_it():
    per_delivery = Depends(object, scope="delivery")

    async def handler(event: OrderCreated, one: object, other: object) -> bool:
        return one is other

    handler.__annotations__.update(one=Annotated[object, per_delivery], other=Annotated[object, per_delivery])
    assert await run(handler)


async def test_a_factory_that_failed_is_tried_again_by_the_next_delivery():
    diary = Diary()

    async def fails_once() -> str:
        diary.made += 1
        if diary.made == 1:
            raise ConnectionError("not yet")
        return "made"

    lifetime = SharedLifetime()
    handler = handler_of(Depends(fails_once))
    first = await asyncio.gather(*(run(handler, lifetime) for _ in range(3)), return_exceptions=True)
    assert [type(each) for each in first] == [ConnectionError] * 3
    assert await run(handler, lifetime) == "made"
    assert diary.made == 2


async def test_the_making_goes_on_when_the_one_who_asked_first_is_cancelled():
    may_go_on = asyncio.Event()

    async def slow() -> str:
        await may_go_on.wait()
        return "made"

    lifetime = SharedLifetime()
    first, second = (asyncio.create_task(run(handler_of(Depends(slow)), lifetime)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait([first])
    may_go_on.set()
    assert await second == "made"


# --- factories that need something themselves


async def test_a_factory_may_have_dependencies_and_in_a_delivery_the_context():
    async def handler(event: OrderCreated, client: object) -> object:
        return client

    def url() -> str:
        return "http://bank"

    def gateway(url: str, timeout: float = 3) -> Gateway:
        return Gateway(f"{url}?timeout={timeout}")

    def client(gateway: Gateway, context: Context) -> tuple[str, str]:
        return gateway.url, context.idempotency_key

    gateway.__annotations__["url"] = Annotated[str, Depends(url)]
    client.__annotations__["gateway"] = Annotated[Gateway, Depends(gateway)]
    handler.__annotations__["client"] = Annotated[object, Depends(client, scope="delivery")]
    context = a_context(wrapped(OrderCreated(), event_id="evt_1"))
    assert await run(handler, context=context) == ("http://bank?timeout=3", "shop.handler:evt_1")


def test_what_is_made_for_the_service_cannot_take_what_belongs_to_a_delivery():
    def takes_context(context: Context) -> None: ...

    def takes_delivery(session: object) -> None: ...

    takes_delivery.__annotations__["session"] = Annotated[object, Depends(object, scope="delivery")]
    for factory in (takes_context, takes_delivery):
        assert 'scope="delivery"' in refused(Depends(factory))


def test_factories_that_need_each_other_are_refused():
    def egg(hen: object) -> None: ...

    def hen(egg: object) -> None: ...

    egg.__annotations__["hen"] = Annotated[object, Depends(hen)]
    hen.__annotations__["egg"] = Annotated[object, Depends(egg)]
    assert "depends on itself" in refused(Depends(egg))


def test_a_factory_with_a_parameter_that_nothing_fills_is_refused():
    def gateway(url: str) -> None: ...

    assert "nothing fills the parameter 'url'" in refused(Depends(gateway))


def test_a_factory_without_a_signature_is_refused():
    assert "has no signature" in refused(Depends(dict))


def test_a_dependency_as_a_default_is_refused():
    async def handler(event: OrderCreated, gateway: object = Depends(plain)) -> None: ...

    with pytest.raises(InvalidSubscription, match="is the default of 'gateway' instead of its annotation"):
        read_signature("shop.handler", handler, (OrderCreated,), batched=False)
