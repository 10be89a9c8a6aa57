"""What these tests let other processes do.

open PATH            waits until the file PATH.go exists, then opens PATH, applies ORDERS and sends 10 orders
suffer PATH          handles orders until one is b"poison": that kills it
sleepwalk PATH       takes one order, is suspended, and goes on as if nothing had happened
clock PATH COUNT     sends its time, again and again
rest PATH            consumes from ten queues where nothing comes; says how much processor time that takes
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
import time
from contextlib import AsyncExitStack
from pathlib import Path

from eventbus.embedded import EmbeddedOptions, EmbeddedTransport
from eventbus.outcome import Ack
from eventbus.transport import QueueSpec, Topology
from tests.support.eventually import eventually
from tests.unit.embedded.words import CHARGE, ORDERS, handling, next_batch, order, orders, send, settle

HASTY = EmbeddedOptions(heartbeat=0.05, session_expiry=0.5)
PATIENT = EmbeddedOptions(heartbeat=0.05, session_expiry=0.5, delivery_limit=4, careful_after=2)


async def open_at_once(transport: EmbeddedTransport, path: Path) -> None:
    say("started")
    await eventually(path.with_name(f"{path.name}.go").exists, within=30, every=0.001)
    await transport.open()
    await transport.apply(ORDERS)
    await send(transport, *orders(10))
    say("sent")


async def suffer(transport: EmbeddedTransport) -> None:
    """Handles one after another; the poison sits among others that were taken along."""
    await transport.open()
    async with transport.consume(CHARGE, prefetch=10) as consumption:
        async for batch in consumption:
            for delivery in batch:
                if delivery.message.body == b"poison":
                    os.kill(os.getpid(), signal.SIGKILL)
                await settle(consumption, [delivery], Ack())
                say(delivery.message.body.decode())


async def sleepwalk(transport: EmbeddedTransport) -> None:
    await transport.open()
    async with transport.consume(CHARGE, prefetch=1) as consumption:
        held = await next_batch(consumption)
        say("holding")
        os.kill(os.getpid(), signal.SIGSTOP)
        await settle(consumption, held, Ack())
        say("settled")
        for delivery in await next_batch(consumption, within=30):
            await settle(consumption, [delivery], Ack())
            say(f"handled {delivery.message.body.decode()}")


async def clock(transport: EmbeddedTransport, count: int) -> None:
    await transport.open()
    for _ in range(count):
        await asyncio.sleep(0.05)
        await send(transport, order(repr(time.time()).encode()))
    say("sent")


async def rest(transport: EmbeddedTransport) -> None:
    await transport.open()
    queues = Topology(tuple(QueueSpec(f"shop.handler{number}", ("order.*",)) for number in range(10)))
    await transport.apply(queues)
    async with AsyncExitStack() as stack:
        for queue in queues.queues:
            await stack.enter_async_context(handling(transport, queue.name))
        await asyncio.sleep(0.5)
        began, used = time.monotonic(), time.process_time()
        await asyncio.sleep(4)
        say(f"{(time.process_time() - used) / (time.monotonic() - began)}")


async def main(what: str, path: str, *arguments: str) -> None:
    options = {"suffer": PATIENT, "sleepwalk": HASTY}.get(what, EmbeddedOptions())
    transport = EmbeddedTransport(path, options)
    match what, arguments:
        case "open", ():
            await open_at_once(transport, Path(path))
        case "suffer", ():
            await suffer(transport)
        case "sleepwalk", ():
            await sleepwalk(transport)
        case "clock", (count,):
            await clock(transport, int(count))
        case "rest", ():
            await rest(transport)
        case _:
            sys.exit(f"unknown: {what} {arguments}")
    await transport.close()


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def end_with_the_parent() -> None:
    sys.stdin.read()
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=end_with_the_parent, daemon=True).start()
    asyncio.run(main(*sys.argv[1:]))
