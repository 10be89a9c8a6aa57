"""A worker that ends at a named point, as if it were killed, when it comes there for the third time.

URL leased|transactional POINT    `never` for a worker that lives

Its effects are rows of a table without a constraint, in the store's own file; of each it tells the world by
an event. It has one at a time, so that nothing else is in the middle of its work then. The points are
methods of eventbus, before or after which it ends.
"""

from __future__ import annotations

import asyncio
import sqlite3
import sys
import threading
from contextlib import closing
from typing import Any, Final

from eventbus import Context, Event, RetryPolicy, Service, Subscription, Transaction, keeping, subscribe
from eventbus.claims import Claims
from eventbus.handler import Handler
from eventbus.logs import configure
from eventbus.outbox.relay import Relay
from eventbus.publisher import Publisher
from eventbus.rabbitmq.consumer import RabbitMQConsumption
from eventbus.settings import Settings
from eventbus.stores.options import StoreOptions
from eventbus.stores.sqlite.transaction import Transactions
from eventbus.stores.taking import Entries
from tests.faults.crashing import Point, end_at
from tests.faults.program import end_with_the_parent, say
from tests.support.load import bus_to

STORE: Final = "eventbus.db"
EFFECTS: Final = "CREATE TABLE IF NOT EXISTS effect (number INTEGER)"
ADD: Final = "INSERT INTO effect VALUES (?)"
_THIRD: Final = 3


class Asked(Event, type="crash.asked"):
    number: int


class Done(Event, type="crash.done"):
    number: int


POINTS: Final[dict[str, Point]] = {
    "before the claim": (Claims, "claim", "before"),
    "after the claim": (Claims, "claim", "after"),
    "after the effect": (Handler, "take", "after"),
    "before the mark": (Claims, "complete", "before"),
    "after the mark": (Claims, "complete", "after"),
    "before the commit": (Transactions, "_commit", "before"),
    "after the commit": (Transactions, "_commit", "after"),
    "before the ack": (RabbitMQConsumption, "settle", "before"),
    "before the event is sent": (Publisher, "send", "before"),
    "after the event was sent": (Publisher, "send", "after"),
    "before the relay sends": (Relay, "_send", "before"),
    "after the relay has sent": (Entries, "sent", "before"),
}


def subscription(how: str) -> Subscription[Any, Any]:
    policy = RetryPolicy(first=0.1, jitter=False)

    @subscribe(Asked, name="work", retry=policy, concurrency=1, prefetch=1)
    async def leased(event: Asked, _: Context) -> Done:
        with closing(sqlite3.connect(STORE, isolation_level=None, timeout=10)) as database:
            database.execute(ADD, (event.number,))
        return Done(number=event.number)

    @subscribe(Asked, name="work", retry=policy, concurrency=1, prefetch=1)
    async def transactional(event: Asked, transaction: Transaction) -> Done:
        await transaction.execute(ADD, event.number)
        return Done(number=event.number)

    return leased if how == "leased" else transactional


async def main(url: str, how: str, point: str) -> None:
    with closing(sqlite3.connect(STORE, isolation_level=None, timeout=10)) as database:
        database.execute(EFFECTS)
    if point != "never":
        end_at(POINTS[point], call=_THIRD)
    async with bus_to(url, shutdown_grace=20.0) as bus, bus.running(Service("crash", [subscription(how)])):
        say("ready")
        await asyncio.Event().wait()


def die_early(settings: Settings) -> StoreOptions:
    """For `keeping.store_options`: its claims are somebody else's as soon as a test can wait for."""
    return StoreOptions(lease=1.5)


if __name__ == "__main__":
    configure("json")
    keeping.store_options = die_early
    threading.Thread(target=end_with_the_parent, daemon=True).start()
    asyncio.run(main(*sys.argv[1:]))
