"""What the suite lets another process do, to kill it in the middle of that.

KIND ADDRESS hold QUEUE COUNT     takes deliveries and settles none
KIND ADDRESS send ROUTING_KEY     sends for ever; says what is confirmed
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from typing import TYPE_CHECKING

from tests.conformance import drive
from tests.conformance.kinds import connect

if TYPE_CHECKING:
    from eventbus.transport import Transport


async def main(kind: str, address: str, what: str, *arguments: str) -> None:
    transport = connect(kind, address)
    await transport.open()
    match what, arguments:
        case "hold", (queue, count):
            await hold(transport, queue, int(count))
        case "send", (routing_key,):
            await send(transport, routing_key)
        case _:
            sys.exit(f"unknown: {what} {arguments}")


async def hold(transport: Transport, queue: str, count: int) -> None:
    async with transport.consume(queue, prefetch=count) as consumption:
        held = await drive.take(consumption, count)
        say(f"holding {len(held)}")
        await asyncio.Event().wait()


async def send(transport: Transport, routing_key: str) -> None:
    while True:
        messages = drive.some_messages(10, routing_key)
        await drive.send(transport, *messages)
        for event_id in drive.ids(messages):
            say(event_id)


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def end_with_the_parent() -> None:
    """The other end of stdin is the parent's; it closes when the parent dies, however that comes."""
    sys.stdin.read()
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=end_with_the_parent, daemon=True).start()
    asyncio.run(main(*sys.argv[1:]))
