"""What the suite lets another process do, to kill or freeze it in the middle of that.

KIND URL open             opens the store
KIND URL hold COUNT       claims so many keys
KIND URL late             claims a key, and completes it when it has been frozen
KIND URL write            inserts a row, puts an event, completes a key, in a transaction that it never ends
KIND URL take             takes what is in the outbox, and sends nothing
KIND URL put COUNT        puts so many events
KIND URL page             takes a page of the logbook, and writes to it when it has been frozen
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING

from eventbus.logbook import OutOfHand
from tests.conformance.store import drive
from tests.conformance.store.kinds import QUICK, Place

if TYPE_CHECKING:
    from eventbus.store import Store


async def main(kind: str, url: str, what: str, *arguments: str) -> None:
    async with Place(kind, url).opened(QUICK) as store:
        match what, arguments:
            case "open", ():
                say("open")
            case "hold", (count,):
                await drive.claim(store, *drive.some_keys(int(count)))
                say("holding")
            case "late", ():
                await late(store)
            case "page", ():
                await page(store)
            case "write", ():
                await write(store)
            case "take", ():
                assert store.outbox is not None
                async with store.outbox.take(100) as taken:
                    say(f"took {len(taken.entries)}")
                    await asyncio.Event().wait()
            case "put", (count,):
                assert store.outbox is not None
                await drive.put(store.outbox, *drive.some_messages(int(count)))
                say("put")
            case _:
                sys.exit(f"unknown: {what} {arguments}")
        await asyncio.Event().wait()


async def late(store: Store) -> None:
    thawed = thawing()
    key = drive.a_key()
    await drive.claim(store, key)
    say("holding")
    await thawed.wait()
    answer = await store.inbox.exchange(complete=[key])
    say(f"lost {len(answer.lost)}")


async def page(store: Store) -> None:
    thawed = thawing()
    logbook = drive.logbook_of(store)
    await logbook.take("replay", "one", "begun")
    say("taken")
    await thawed.wait()
    try:
        await logbook.write("replay", "one", "too late")
    except OutOfHand:
        say("out of hand")


def thawing() -> asyncio.Event:
    """Set when this process has been frozen and goes on."""
    thawed = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGCONT, thawed.set)
    return thawed


async def write(store: Store) -> None:
    assert store.outbox is not None
    key = drive.a_key()
    await drive.claim(store, key)
    async with store.transaction() as transaction:
        await transaction.execute("INSERT INTO booking (name) VALUES ('killed')")
        joined = store.join(transaction)
        await joined.put([drive.a_message()], [None])
        await joined.complete([key])
        say("written")
        await asyncio.Event().wait()


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
