"""The order service as it is, but that it ends at a named point as if it were killed, at its second order.

POINT     `never` for one that lives
"""

from __future__ import annotations

import asyncio
import sys
import threading
from typing import Final

from eventbus import keeping
from eventbus.logs import configure
from eventbus.outbox.relay import Relay
from eventbus.settings import Settings as BusSettings
from eventbus.stores.options import StoreOptions
from eventbus.stores.taking import Entries
from services.order.charging import Cashier
from services.order.main import serve
from services.order.orders import Orders
from services.order.placing import Placing
from services.order.publishing import Publishing
from services.order.settings import Settings
from tests.faults.crashing import Point, end_at
from tests.faults.program import end_with_the_parent

_SECOND: Final = 2

POINTS: Final[dict[str, Point]] = {
    "before the insert": (Placing, "place", "before"),
    "after the insert, before the event is written": (Publishing, "_enqueue", "before"),
    "after the event is written, before the commit": (Publishing, "_enqueue", "after"),
    "after the commit, before the relay sends": (Relay, "_send", "before"),
    "after the relay has sent, before the event is removed": (Entries, "sent", "before"),
    "before the payment": (Cashier, "charge", "before"),
    "after the payment, before it is written": (Cashier, "charge", "after"),
    "after the payment is written, before the event is": (Orders, "release", "before"),
}


def die_early(settings: BusSettings) -> StoreOptions:
    """For `keeping.store_options`: what it leads is somebody else's as soon as a test can wait for."""
    return StoreOptions(lease=1.5)


if __name__ == "__main__":
    configure("json")
    keeping.store_options = die_early
    if sys.argv[1] != "never":
        end_at(POINTS[sys.argv[1]], call=_SECOND)
    threading.Thread(target=end_with_the_parent, daemon=True).start()
    asyncio.run(serve(Settings.from_environment()))
