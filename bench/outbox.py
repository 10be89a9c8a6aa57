"""What the relay moves from an outbox to RabbitMQ, beside what publishing the same events at once does.

One relay in this process, so on one core; the databases and the broker are processes of their own. Publishing
also makes and encodes each event, which the relay finds encoded; the relay reads and removes its rows.
"""

from __future__ import annotations

import tempfile
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

from rich.console import Console

from bench.inbox import served
from bench.measure import Side, alternate, show
from bench.rabbitmq import RawClient, publish_many
from bench.work import Counter, counting_service, orders
from eventbus import Bus, Envelope
from eventbus.codec import Codec
from eventbus.keeping import relay_of
from eventbus.service import topology
from eventbus.store import Store
from eventbus.stores.opening import store_for
from tests.support.handling import wrapped
from tests.support.postgres_server import PostgresServer

EVENTS = 10_000
AT_ONCE = 1_000
KEYS = 97
WITHOUT = "publish_many"


async def run(url: str, rounds: int, console: Console) -> None:
    async with AsyncExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory())
        stores = {
            "relay, PostgreSQL": stack.enter_context(served(partial(PostgresServer, fsync=True))),
            "relay, SQLite": f"sqlite:///{Path(directory) / 'outbox.db'}",
        }
        bus = await stack.enter_async_context(Bus(url, source="bench"))
        await bus.transport.apply(topology([counting_service(Counter())]))
        raw = await stack.enter_async_context(RawClient(url))
        sides = {WITHOUT: Side(partial(publish_many, bus, EVENTS), raw.purge)}
        for name, store_url in stores.items():
            store = store_for(store_url)
            await store.open()
            stack.push_async_callback(store.close)
            sides[name] = _side(bus, store, raw)
        rates = await alternate(sides, rounds)
        show("From the outbox to the broker, confirmed (filling not counted)", rates, WITHOUT, console)


def _side(bus: Bus, store: Store, raw: RawClient) -> Side:
    relay = relay_of(store, bus.transport)

    async def fill() -> None:
        await raw.purge()
        await _fill(store)

    async def drain() -> int:
        before = relay.sent
        await relay.drain()
        return relay.sent - before

    return Side(drain, fill)


async def _fill(store: Store) -> None:
    """As many keys as there are users."""
    assert store.outbox is not None  # noqa: S101  it was made here
    envelopes: list[Envelope[object]] = [wrapped(event) for event in orders(EVENTS)]
    messages = [Codec().encode(envelope) for envelope in envelopes]
    keys = [f"user-{number % KEYS}" for number in range(EVENTS)]
    for first in range(0, EVENTS, AT_ONCE):
        await store.outbox.put(messages[first : first + AT_ONCE], keys[first : first + AT_ONCE])
