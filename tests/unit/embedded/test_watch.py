"""Who is woken when another process has written."""

from __future__ import annotations

import asyncio
from contextlib import closing
from pathlib import Path

from eventbus.embedded import EmbeddedOptions
from eventbus.embedded.database import open_reader
from eventbus.embedded.watch import Watch
from tests.unit.embedded.conftest import OpenTransport
from tests.unit.embedded.words import order, send

SELDOM = EmbeddedOptions(heartbeat=60, session_expiry=300)
"""What it writes by itself would wake everybody."""


async def test_whoever_has_looked_and_does_not_wait_yet_is_woken_too(
    path: Path, open_transport: OpenTransport
):
    writer = await open_transport(path, SELDOM)
    watch = Watch(open_reader(str(path)), 0.01, lambda _: None)
    with closing(watch), watch.bell() as first, watch.bell() as second:
        await first.wait()  # by now it knows the file
        first.silence()
        waiting = asyncio.create_task(first.wait())
        second.silence()

        await send(writer, order())
        await asyncio.wait_for(waiting, 5)

        await asyncio.wait_for(second.wait(), 5)
