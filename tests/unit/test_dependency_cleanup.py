from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Annotated

import pytest

from eventbus import Depends
from eventbus.dependency import SharedLifetime
from tests.support.dependencies import Diary, OrderCreated, handler_of, run
from tests.support.eventually import eventually


async def test_what_a_service_has_made_is_cleaned_up_in_reverse_when_it_is_closed():
    diary = Diary()

    def first() -> Iterator[str]:
        yield "first"
        diary.note("first cleaned up")

    async def second(first: str) -> AsyncIterator[str]:
        yield f"{first}, second"
        diary.note("second cleaned up")

    second.__annotations__["first"] = Annotated[str, Depends(first)]
    lifetime = SharedLifetime()
    assert await run(handler_of(Depends(second)), lifetime) == "first, second"
    assert diary.lines == []
    await lifetime.close()
    assert diary.lines == ["second cleaned up", "first cleaned up"]


async def test_a_factory_that_was_decorated_as_a_context_manager_is_entered_and_left():
    diary = Diary()

    @asynccontextmanager
    async def session() -> AsyncIterator[str]:
        yield "open"
        diary.note("closed")

    @contextmanager
    def cache() -> Iterator[str]:
        yield "full"
        diary.note("emptied")

    lifetime = SharedLifetime()
    assert await run(handler_of(Depends(session)), lifetime) == "open"
    assert await run(handler_of(Depends(cache)), lifetime) == "full"
    await lifetime.close()
    assert diary.lines == ["emptied", "closed"]


async def test_what_a_delivery_has_made_is_cleaned_up_after_its_handler():
    diary = Diary()

    async def session() -> AsyncIterator[Diary]:
        diary.note("opened")
        yield diary
        diary.note("closed")

    async def handler(event: OrderCreated, session: Diary) -> None:
        session.note("handled")

    handler.__annotations__["session"] = Annotated[Diary, Depends(session, scope="delivery")]
    await run(handler)
    assert diary.lines == ["opened", "handled", "closed"]


async def test_every_cleanup_sees_the_handlers_error_and_none_can_hide_it():
    diary = Diary()

    def transaction() -> Iterator[str]:
        try:
            yield "transaction"
        except ValueError as error:
            diary.note(f"rolled back: {error}")
        else:
            diary.note("committed")

    async def hides(transaction: str) -> AsyncIterator[str]:
        try:
            yield transaction
        except ValueError as error:
            diary.note(f"hidden: {error}")

    async def handler(event: OrderCreated, session: str) -> None:
        raise ValueError("no such card")

    hides.__annotations__["transaction"] = Annotated[str, Depends(transaction, scope="delivery")]
    handler.__annotations__["session"] = Annotated[str, Depends(hides, scope="delivery")]
    with pytest.raises(ValueError, match="no such card"):
        await run(handler)
    assert diary.lines == ["hidden: no such card", "rolled back: no such card"]


async def test_a_cleanup_that_fails_fails_the_delivery():
    def session() -> Iterator[None]:
        yield
        raise ConnectionError("commit failed")

    with pytest.raises(ConnectionError, match="commit failed"):
        await run(handler_of(Depends(session, scope="delivery")))


async def test_a_delivery_that_is_cancelled_while_something_is_made_for_it_leaves_nothing_open():
    diary = Diary()

    async def session() -> AsyncIterator[None]:
        diary.note("opening")
        try:
            await asyncio.Event().wait()
            yield
        finally:
            diary.note("closed")

    running = asyncio.create_task(run(handler_of(Depends(session, scope="delivery"))))
    await eventually(lambda: diary.lines == ["opening"])
    running.cancel()
    await asyncio.wait([running])
    assert diary.lines == ["opening", "closed"]


async def test_a_delivery_opens_and_closes_in_one_task_as_timeouts_and_task_groups_demand():
    async def group() -> AsyncIterator[asyncio.TaskGroup]:
        async with asyncio.timeout(5), asyncio.TaskGroup() as group:
            yield group

    assert isinstance(await run(handler_of(Depends(group, scope="delivery"))), asyncio.TaskGroup)
