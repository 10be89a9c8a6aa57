"""Who catches up, where the logbook lies in a store that goes away in the middle of a question."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from eventbus import Bus, Service, subscribe
from eventbus.catchup import KIND, CatchUp, CatchUps
from eventbus.clock import SystemClock
from eventbus.codec import Codec
from eventbus.errors import BrokerUnreachable
from eventbus.history import History
from eventbus.keeping import logbook_of
from eventbus.logbook import Logbook, OutOfHand
from eventbus.store import StoreUnavailable
from tests.support.eventually import eventually
from tests.unit.catchup.events import MEMBER, Booked, bookings


@dataclass(eq=False)
class Interrupted:
    """A logbook that does what it is asked, and does not say so the first time."""

    logbook: Logbook
    verb: str
    error: Exception

    def __getattr__(self, name: str) -> Any:
        verb: Callable[..., Any] = getattr(self.logbook, name)

        async def asked(*arguments: Any) -> Any:
            answer = await verb(*arguments)
            if name == self.verb:
                self.verb = ""
                raise self.error
            return answer

        return asked


BUS = "sqlite:here"
AWAY = StoreUnavailable("sqlite:///events.db", "the disk is full")


async def catching_up(bus: Bus, verb: str = "", error: Exception = AWAY) -> CatchUp:
    store = await bus.kept.opened_store()
    logbook: Any = Interrupted(logbook_of(store), verb, error)
    history = await bus.history()
    shared = CatchUps(bus.transport, history, logbook, store.inbox, Codec(), SystemClock(), BUS)
    found = shared.of(MEMBER)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("verb", "error"), [("take", AWAY), ("write", OutOfHand(KIND, MEMBER.queue)), ("write", AWAY)]
)
async def test_who_does_not_know_whether_the_page_is_in_his_hand_gets_it_again(
    bus: Bus, verb: str, error: Exception
):
    catch_up = await catching_up(bus, verb, error)
    with pytest.raises(type(error)):
        await catch_up.is_due(asyncio.Event())

    async with asyncio.timeout(5):
        assert await catch_up.is_due(asyncio.Event())


async def test_a_page_that_could_not_be_left_is_left_when_the_store_is_back(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("eventbus.leaving._FIRST_PAUSE", 0.01)
    logbook: Any = logbook_of(await bus.kept.opened_store())
    leave, failures = logbook.leave, [AWAY] * 3

    async def failing(kind: str, name: str) -> None:
        if failures:
            raise failures.pop()
        await leave(kind, name)

    monkeypatch.setattr(logbook, "leave", failing)

    async def is_in_hand() -> list[bool]:
        return [page.is_in_hand for page in await logbook.pages(KIND)]

    async def is_left() -> bool:
        return await is_in_hand() == [False]

    @subscribe(Booked, start="beginning", concurrency=1)
    async def total(event: Booked) -> None:
        await asyncio.sleep(0.01)

    await bus.publish_many(bookings(500))
    async with bus.running(Service("analytics", [total])):
        await eventually(is_in_hand)

    await eventually(is_left)


async def test_who_cannot_begin_leaves_the_page_to_others(bus: Bus, monkeypatch: pytest.MonkeyPatch):
    async def away(_: History) -> None:
        raise BrokerUnreachable("the broker", "is away")

    monkeypatch.setattr(History, "bounds", away)
    catch_up = await catching_up(bus)
    with pytest.raises(BrokerUnreachable):
        await catch_up.is_due(asyncio.Event())

    (page,) = await logbook_of(await bus.kept.opened_store()).pages(KIND)
    assert not page.is_in_hand
