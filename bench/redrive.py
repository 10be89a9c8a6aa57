"""Dead letters: what giving an event up costs beside handling it, and redriving it beside publishing it."""

from __future__ import annotations

import logging

from rich.console import Console

from bench.measure import show
from bench.one_namespace import Timed, in_rounds, publish, rates, timed
from bench.work import Counter, OrderPlaced
from eventbus import Bus, Reject, Service, subscribe
from eventbus.dead_letters import DeadLetters
from eventbus.service import topology
from tests.support.eventually import eventually

WITHIN = 600.0
"""Seconds until the last one has ended."""


async def run(url: str, rounds: int, events: int, console: Console) -> None:
    """Without the two lines in the log that each event given up is worth elsewhere."""
    logging.getLogger("eventbus").setLevel(logging.CRITICAL)
    for name, broker in (("RabbitMQ", url), ("embedded", "")):
        sides = rates(await in_rounds(broker, rounds, lambda bus: _round(bus, events)), events)
        show(f"{name}: to a subscription's queue", sides[:2], "publish_many", console)
        show(f"{name}: a handler, without an inbox", sides[2:], "handled", console)


async def _round(bus: Bus, events: int) -> dict[str, Timed]:
    """All are given up, redriven, and handled then."""
    counter = Counter()
    service = _service(bus, counter, gives_up=True)
    queue = service.members[0].queue
    await bus.transport.apply(topology([service]))
    published = await timed(lambda: publish(bus, events))
    given_up = await timed(lambda: _end(bus, service, counter, events))
    letters = DeadLetters(bus.transport, queue)

    async def all_are_dead() -> bool:
        return (await letters.stats()).dead == events

    await eventually(all_are_dead, within=WITHIN)
    redriven = await timed(letters.redrive)
    willing = _service(bus, counter, gives_up=False)
    handled = await timed(lambda: _end(bus, willing, counter, 2 * events))
    return {"publish_many": published, "redrive": redriven, "handled": handled, "given up": given_up}


async def _end(bus: Bus, service: Service, counter: Counter, seen: int) -> None:
    """Return when every event has had its handler and its outcome is with the broker."""
    async with bus.running(service):
        await counter.wait_for(seen, within=WITHIN)


def _service(bus: Bus, counter: Counter, *, gives_up: bool) -> Service:
    @subscribe(OrderPlaced, name="take", prefetch=200, concurrency=100, deduplicate=False)
    async def take(_event: OrderPlaced) -> None:
        counter.count()
        if gives_up:
            raise Reject("of no use here")

    return Service(f"of_{bus.settings.namespace}", [take])
