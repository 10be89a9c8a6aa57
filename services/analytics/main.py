"""The analytics service: python -m services.analytics.main

It may be started at any time, also years after the shop: what has happened until then is in the history.
"""

from __future__ import annotations

import asyncio
import sys

from eventbus import Bus, EventBusError, Service
from eventbus.logs import configure
from eventbus.settings import Settings as BusSettings
from services.analytics import ledger
from services.analytics.handlers import count_order, count_payment, count_refund
from services.analytics.settings import Settings

service = Service("analytics", [count_order, count_payment, count_refund])


async def serve(settings: Settings) -> None:
    """Until SIGTERM or SIGINT."""
    ledger.prepare(settings.database)
    async with Bus(source="analytics", store=settings.store) as bus:
        await bus.serve(service)


def main() -> int:
    bus_settings = BusSettings.from_environment()
    configure(bus_settings.log_format, level=bus_settings.log_level)
    try:
        asyncio.run(serve(Settings.from_environment()))
    except EventBusError as error:
        print(f"analytics: {error}", file=sys.stderr)  # noqa: T201  for whoever started it
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
