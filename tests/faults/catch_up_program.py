"""A worker with a subscription that begins in the past, and that ends at a named point as if it were killed.

URL POINT    `never` for a worker that lives

What it handles are rows of a table without a constraint, in the store's own file and in its transactions.
"""

from __future__ import annotations

import asyncio
import sqlite3
import sys
import threading
from contextlib import closing
from typing import Final

from eventbus import Event, Service, Transaction, keeping, subscribe
from eventbus.catchup.catch_up import CatchUp
from eventbus.catchup.consumption import HistoryConsumption
from eventbus.embedded.consumer import EmbeddedConsumption
from eventbus.history import History
from eventbus.logs import configure
from eventbus.rabbitmq.consumer import RabbitMQConsumption
from tests.faults.crash_program import STORE, die_early
from tests.faults.crashing import end_at
from tests.faults.program import end_with_the_parent, say
from tests.support.load import bus_to

BOOKED: Final = "CREATE TABLE IF NOT EXISTS booked (account INTEGER, number INTEGER)"
POINTS: Final = ("binding", "history", "overlap", "live")


class Booked(Event, type="account.booked"):
    account: int
    number: int


@subscribe(Booked, start="beginning", concurrency=1)
async def total(event: Booked, transaction: Transaction) -> None:
    await transaction.execute("INSERT INTO booked VALUES (?, ?)", event.account, event.number)


def end_in(point: str) -> None:
    match point:
        case "binding":  # the queue is bound, and nothing of it is written down
            end_at((History, "bounds", "after"), call=1)
        case "history":
            end_at((HistoryConsumption, "settle", "before"), call=20)
        case "overlap":  # all of history is handled, some of it waits in the queue too, and it is not live
            end_at((CatchUp, "_go_live", "before"), call=1)
        case "live":
            end_at((EmbeddedConsumption, "settle", "before"), call=5)
            end_at((RabbitMQConsumption, "settle", "before"), call=5)
        case _:
            return


async def main(url: str, point: str) -> None:
    with closing(sqlite3.connect(STORE, isolation_level=None, timeout=10)) as database:
        database.execute(BOOKED)
    end_in(point)
    # A store of its own on either broker: its file has the table of the handler.
    async with bus_to(url, store=f"sqlite:///{STORE}") as bus, bus.running(Service("analytics", [total])):
        say("ready")
        await asyncio.Event().wait()


if __name__ == "__main__":
    configure("json")
    keeping.store_options = die_early
    threading.Thread(target=end_with_the_parent, daemon=True).start()
    asyncio.run(main(*sys.argv[1:]))
