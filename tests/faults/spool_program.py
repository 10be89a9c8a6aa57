"""A process that publishes into a spool while the broker is away, to kill or to starve of disk.

URL SPOOL keep COUNT          publishes so many events and says `spooled ID` of each, then waits to be killed
URL SPOOL starve BYTES        may write no file beyond so many bytes; publishes until it is refused
"""

from __future__ import annotations

import asyncio
import resource
import sys
import threading
from itertools import count
from pathlib import Path

from eventbus.errors import SpoolFull
from tests.faults.program import end_with_the_parent, say
from tests.support.spooling import spooling_to


async def main(url: str, path: str, what: str, number: str) -> None:
    async with spooling_to(url, Path(path)) as shop:
        match what:
            case "keep":
                for event in range(int(number)):
                    receipt = await shop.publish(f"event-{event}", key=f"key-{event % 4}")
                    say(f"{receipt.state} {receipt.event_id}")
            case "starve":
                resource.setrlimit(resource.RLIMIT_FSIZE, (int(number), int(number)))
                try:
                    for event in count():
                        receipt = await shop.publish(f"event-{event}", key=f"key-{event % 4}")
                        say(f"{receipt.state} {receipt.event_id}")
                except SpoolFull as full:
                    say(f"refused sent={full.sent}")
            case _:
                sys.exit(f"unknown: {what}")
        say("done")
        await asyncio.Event().wait()


if __name__ == "__main__":
    threading.Thread(target=end_with_the_parent, daemon=True).start()
    asyncio.run(main(*sys.argv[1:]))
