"""A subscription that two buses have, whose stores are one: each is caught up with its own history."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from structlog.testing import capture_logs

from eventbus import Bus, Service, subscribe
from eventbus.catchup import KIND, Progress
from eventbus.cli.waiting_view import look_at_waiting
from eventbus.keeping import logbook_of
from tests.support.eventually import eventually
from tests.unit.catchup.events import MEMBER, Booked, bookings

QUEUE = MEMBER.queue


class Totals:
    """The service, and what it has handled; at `stop_at` it handles nothing more."""

    def __init__(self, *, stop_at: int = 1_000_000) -> None:
        self.seen: list[int] = []

        @subscribe(Booked, start="beginning", concurrency=1)
        async def total(event: Booked) -> None:
            if len(self.seen) >= stop_at:
                await asyncio.Event().wait()
            self.seen.append(event.number)

        self.service = Service("analytics", [total])

    async def caught_up(self, bus: Bus) -> list[int]:
        async with bus.running(self.service) as worker, asyncio.timeout(30):
            await worker.caught_up()
        return self.seen


@asynccontextmanager
async def bus_at(place: Path, name: str) -> AsyncGenerator[Bus]:
    url, store = f"sqlite:///{place / name}.db", f"sqlite:///{place / 'store.db'}"
    async with Bus(url, source="test", store=store) as bus:
        bus.settings = bus.settings.model_copy(update={"shutdown_grace": 0.1})
        yield bus


async def test_each_bus_brings_it_its_own_history(tmp_path: Path):
    async with bus_at(tmp_path, "first") as bus:
        await bus.publish_many(bookings(20))
        assert await Totals().caught_up(bus) == list(range(20))

    async with bus_at(tmp_path, "second") as bus:
        await bus.publish_many(bookings(10))
        with capture_logs() as logs:
            assert await Totals().caught_up(bus) == list(range(10))

    (told,) = [line for line in logs if line["event"] == "catch_up.another_bus"]
    (bus_before,) = told["buses"]
    assert bus_before.startswith("sqlite:/")
    assert bus_before.endswith("/first.db")
    async with bus_at(tmp_path, "first") as bus:
        assert await Totals().caught_up(bus) == []


async def test_how_far_it_is_on_one_bus_says_nothing_of_another(tmp_path: Path):
    stopped = Totals(stop_at=5)
    async with bus_at(tmp_path, "first") as bus:
        await bus.publish_many(bookings(20))
        async with bus.running(stopped.service):
            await eventually(lambda: len(stopped.seen) == 5)
        first = await look_at_waiting(bus.settings, bus.clock)

    async with bus_at(tmp_path, "second") as bus:
        await bus.publish_many(bookings(30))
        second = await look_at_waiting(bus.settings, bus.clock)
        assert await Totals().caught_up(bus) == list(range(30))

    assert [page.name for page, _ in first.catching_up] == [QUEUE]
    assert second.catching_up == []
    async with bus_at(tmp_path, "first") as bus:
        rest = await Totals().caught_up(bus)
        assert sorted({*stopped.seen, *rest}) == list(range(20))


async def test_what_an_older_version_has_caught_up_is_not_caught_up_again(tmp_path: Path):
    async with bus_at(tmp_path, "first") as bus:
        await bus.publish_many(bookings(20))
        logbook = logbook_of(await bus.kept.opened_store())
        await logbook.take(KIND, QUEUE, Progress("live").text())
        await logbook.leave(KIND, QUEUE)

        assert await Totals().caught_up(bus) == []


async def test_while_a_process_of_an_older_version_catches_up_it_is_waited_for(tmp_path: Path):
    totals = Totals()
    async with bus_at(tmp_path, "first") as bus:
        await bus.publish_many(bookings(20))
        logbook = logbook_of(await bus.kept.opened_store())
        await logbook.take(KIND, QUEUE, "")
        looks = 0
        page = logbook.page

        async def looked(kind: str, name: str) -> object:
            nonlocal looks
            looks += 1
            return await page(kind, name)

        logbook.page = looked  # type: ignore[method-assign, assignment]
        async with bus.running(totals.service) as worker, asyncio.timeout(30):
            await eventually(lambda: looks >= 2)
            assert totals.seen == []
            await logbook.write(KIND, QUEUE, Progress("live").text())
            await logbook.leave(KIND, QUEUE)
            await worker.caught_up()

    assert totals.seen == []
