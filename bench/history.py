"""History: what replaying costs beside publishing, and catching up beside taking from a queue.

Handling is timed from the first event to the last: that a late subscription waits a second before it begins
is no cost of an event.
"""

from __future__ import annotations

from typing import Literal

from rich.console import Console

from bench.measure import show
from bench.one_namespace import Timed, in_rounds, publish, rates, timed
from bench.work import Counter, OrderPlaced
from eventbus import Bus, Service, subscribe
from eventbus.replay import ReplayRequest
from eventbus.service import topology


async def run(url: str, rounds: int, events: int, console: Console) -> None:
    """Tells too what memory this process holds after each step, which must not grow with the events."""
    for name, broker in (("RabbitMQ", url), ("embedded", "")):
        measured = await in_rounds(broker, rounds, lambda bus: _round(bus, events))
        sides = rates(measured, events)
        show(f"{name}: to a subscription's queue", sides[:2], "publish_many", console)
        show(f"{name}: handled, with the inbox in SQLite", sides[2:], "from its queue", console)
        held = ", ".join(f"{side} {taken[-1].memory / 2**20:.0f}" for side, taken in measured.items())
        console.print(f"MiB held after the last: {held}")


async def _round(bus: Bus, events: int) -> dict[str, Timed]:
    service = _service(bus, "kept", Counter())
    await bus.transport.apply(topology([service]))
    published = await timed(lambda: publish(bus, events))
    from_queue = await _handled(bus, "kept", "new", events)
    from_history = await _handled(bus, "late", "beginning", events)
    replayed = await timed(lambda: _replay(bus, service.members[0].queue))
    return {
        "publish_many": published,
        "replay": replayed,
        "from its queue": from_queue,
        "from history": from_history,
    }


async def _replay(bus: Bus, subscription: str) -> None:
    replays = await bus.replays()
    request = ReplayRequest(subscription, types=(OrderPlaced.__event_type__,))
    await replays.run(await replays.prepare(request))


async def _handled(bus: Bus, name: str, start: Literal["new", "beginning"], events: int) -> Timed:
    counter = Counter()
    async with bus.running(_service(bus, name, counter, start)):
        await counter.wait_for(1)
        return await timed(lambda: counter.wait_for(events, within=600))


def _service(bus: Bus, name: str, counter: Counter, start: Literal["new", "beginning"] = "new") -> Service:
    @subscribe(OrderPlaced, name=name, prefetch=200, concurrency=100, start=start)
    async def take(_event: OrderPlaced) -> None:
        counter.count()

    return Service(f"of_{bus.settings.namespace}", [take])
