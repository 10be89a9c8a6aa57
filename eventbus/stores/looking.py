"""What waits in an outbox, for those who only look: nothing is created, migrated or claimed."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from typing import Final
from urllib.parse import quote

from eventbus.clock import Clock
from eventbus.databases.sqlite.address import Address
from eventbus.record import microseconds
from eventbus.store import Backlog, StoreUnavailable
from eventbus.stores.opening import store_for
from eventbus.stores.options import StoreOptions
from eventbus.stores.sqlite.statements import statements

_OPTIONS: Final = StoreOptions(timeout=5.0)


async def backlog_at(url: str, clock: Clock) -> Backlog | None:
    """None where there is no outbox: no file, no table, or a store that is an inbox only.

    Raises `StoreUnavailable`, and `ConfigurationError` for a URL that names no store.
    """
    if url.startswith("sqlite:"):
        address = Address.of(url)
        return None if address.file is None else await asyncio.to_thread(_in_file, address, clock)
    if url.startswith(("postgresql:", "postgres:")):
        from eventbus.stores.postgres import looking

        return await looking.backlog_at(url, _OPTIONS, clock)
    store_for(url, _OPTIONS)  # the others have an inbox only
    return None


def _in_file(address: Address, clock: Clock) -> Backlog | None:
    if address.file is None or not address.file.is_file():
        return None
    target = f"file:{quote(str(address.file))}?mode=ro"
    try:
        with closing(sqlite3.connect(target, timeout=_OPTIONS.timeout, uri=True)) as connection:
            table = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'eventbus_outbox'"
            if connection.execute(table).fetchone() is None:
                return None
            events, size, oldest = connection.execute(statements()["backlog"]).fetchone()
    except sqlite3.Error as error:
        raise StoreUnavailable(address.url, str(error)) from error
    age = None if oldest is None else max(0.0, (microseconds(clock.now()) - oldest) / 1_000_000)
    return Backlog(events, size, age)
