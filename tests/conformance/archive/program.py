"""What the suite lets another process do, to kill it in the middle of that.

URL copy    appends ten entries at a time, for ever, and says how far it has come
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading

from eventbus.archives.opening import archive_for
from tests.conformance.archive import drive

AT_ONCE = 10


async def main(url: str, what: str) -> None:
    assert what == "copy"
    archive = archive_for(url)
    await archive.open()
    while True:
        entries = drive.some_entries(AT_ONCE // 2) + drive.some_entries(AT_ONCE // 2, drive.DECEMBER)
        await drive.append(archive, *entries)
        sys.stdout.write(f"{(await archive.end()).next_offset}\n")
        sys.stdout.flush()


def end_with_the_parent() -> None:
    """The other end of stdin is the parent's; it closes when the parent dies, however that comes."""
    sys.stdin.read()
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=end_with_the_parent, daemon=True).start()
    asyncio.run(main(*sys.argv[1:]))
