"""The order service: python -m services.order.main

One process: the API for users, and the subscriptions that follow what becomes of their orders.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from contextlib import AsyncExitStack
from typing import Final

import uvicorn

from eventbus import Bus, EventBusError, Service
from eventbus.logs import configure
from eventbus.settings import Settings as BusSettings
from services.order.api import Api
from services.order.books import Books
from services.order.charging import Cashier
from services.order.confirming import Confirming
from services.order.database import Database
from services.order.handlers import count_sale, follow_order, strike_sale, write_invoice
from services.order.orders import Orders
from services.order.placing import Placing
from services.order.publishing import Publishing
from services.order.settings import Settings

GRACE: Final = 25
"""Seconds that requests get to finish; longer than any of them takes."""
PATIENCE: Final = 5.0
"""Seconds that users wait for a broker that does not answer, before orders are taken without it."""

service = Service("order", [follow_order, write_invoice, count_sale, strike_sale])


async def serve(settings: Settings) -> None:
    """Until SIGTERM or SIGINT: stops listening before anything else.

    It listens when everything is ready. Where the broker is away it does so all the same, and the events lie
    in the outbox, in the orders' own database, until the broker is there.
    """
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(Database.open(settings.database))
        cashier = await stack.enter_async_context(
            Cashier.open(settings.gateway_url, timeout=settings.gateway_timeout)
        )
        bus = Bus(source="order", store=settings.store)
        opening = await stack.enter_async_context(bus.opening(service))
        orders, books = Orders(database), Books(database)
        publishing = Publishing(orders, bus, settings.held_for)
        await stack.enter_async_context(publishing.running())
        placing = Placing(
            orders=orders,
            books=books,
            publishing=publishing,
            cashier=cashier,
            confirming=Confirming(settings.smtp_host, settings.smtp_port, settings.smtp_timeout),
            latencies=settings.latencies,
        )
        await opening.tried(within=PATIENCE)
        await _listen(Api(orders, books, placing, opening), settings)


async def _listen(api: Api, settings: Settings) -> None:
    # uvicorn raises the signal that stopped it once more when it has stopped; whoever listens then may still
    # clean up.
    loop = asyncio.get_running_loop()
    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, lambda: None)
    config = uvicorn.Config(
        api.app(),
        host=settings.host,
        port=settings.port,
        log_level="warning",
        timeout_graceful_shutdown=GRACE,
    )
    await uvicorn.Server(config).serve()


def main() -> int:
    bus_settings = BusSettings.from_environment()
    configure(bus_settings.log_format, level=bus_settings.log_level)
    try:
        asyncio.run(serve(Settings.from_environment()))
    except EventBusError as error:
        print(f"order: {error}", file=sys.stderr)  # noqa: T201  for whoever started it
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
