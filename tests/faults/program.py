"""A worker in a process of its own, to kill. It says what it does, one line at a time.

URL hold             handles nothing to the end
URL poison           dies of order 13
URL slow SECONDS     takes its time
URL quick            has done many in no time
URL failing          asks for a retry of everything
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Awaitable, Callable
from typing import Any

from eventbus import Context, Service, keeping, subscribe
from eventbus.logs import configure
from eventbus.settings import Settings
from eventbus.stores.options import StoreOptions
from tests.support.load import QUICK_RETRY, TYPE, bus_to

Handle = Callable[[dict[str, Any], Context], Awaitable[None]]


async def main(url: str, how: str, *arguments: str) -> None:
    handle = HANDLERS[how](*arguments)

    prefetch = 200 if how == "quick" else 10

    @subscribe(TYPE, retry=QUICK_RETRY, prefetch=prefetch, concurrency=10)
    async def seen(event: dict[str, Any], context: Context) -> None:
        say(f"begun {context.envelope.event_id}")
        await handle(event, context)
        say(f"ended {context.envelope.event_id}")

    async with bus_to(url, shutdown_grace=20.0) as bus:
        await bus.serve(Service("audit", [seen]))
    say("stopped")


def hold() -> Handle:
    async def handle(event: dict[str, Any], context: Context) -> None:
        await asyncio.Event().wait()

    return handle


def poison() -> Handle:
    async def handle(event: dict[str, Any], context: Context) -> None:
        if event["order_id"] == 13:
            os._exit(13)
        await asyncio.sleep(0.2)  # so that others are in the middle of their work when it dies

    return handle


def slow(seconds: str) -> Handle:
    async def handle(event: dict[str, Any], context: Context) -> None:
        await asyncio.sleep(float(seconds))

    return handle


def quick() -> Handle:
    async def handle(event: dict[str, Any], context: Context) -> None:
        await asyncio.sleep(0.003)

    return handle


def failing() -> Handle:
    async def handle(event: dict[str, Any], context: Context) -> None:
        raise ConnectionError("the gateway is away")

    return handle


HANDLERS: dict[str, Callable[..., Handle]] = {
    "hold": hold,
    "poison": poison,
    "slow": slow,
    "quick": quick,
    "failing": failing,
}


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def end_with_the_parent() -> None:
    """The other end of stdin is the parent's; it closes when the parent dies, however that comes."""
    sys.stdin.read()
    os._exit(1)


def die_early(settings: Settings) -> StoreOptions:
    """For `keeping.store_options`: its claims are somebody else's as soon as a test can wait for."""
    return StoreOptions(lease=2.0)


if __name__ == "__main__":
    configure("json")
    keeping.store_options = die_early
    threading.Thread(target=end_with_the_parent, daemon=True).start()
    asyncio.run(main(*sys.argv[1:]))
