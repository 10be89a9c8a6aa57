"""What lies in a store, for those who only look: nothing is created, migrated or claimed."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import quote

from eventbus.clock import Clock
from eventbus.databases.scheme import scheme_of
from eventbus.databases.sqlite.address import Address
from eventbus.databases.sqlite.database import explained
from eventbus.errors import ConfigurationError
from eventbus.logbook import Page
from eventbus.record import microseconds
from eventbus.store import Backlog, StoreReport, StoreUnavailable
from eventbus.stores.opening import store_for
from eventbus.stores.options import StoreOptions
from eventbus.stores.sqlite.logbook import pages
from eventbus.stores.sqlite.statements import schema, statements

Answer = TypeVar("Answer")

_OPTIONS: Final = StoreOptions(timeout=5.0)


async def report_on(url: str, *, is_named: bool) -> StoreReport:
    """What is wrong with the store is in the answer, and not raised. Nobody misses one that is not named."""
    shown: str | None = None
    try:
        shown = store_for(url, _OPTIONS).url
        was_opened = await _was_opened(url)
    except (StoreUnavailable, ConfigurationError) as error:
        return StoreReport(shown, error)
    return StoreReport(shown, is_missing=is_named and not was_opened)


async def backlog_at(url: str, clock: Clock) -> Backlog | None:
    """None where there is no outbox: no file, no table, or a store that is an inbox only.

    Raises `StoreUnavailable`, and `ConfigurationError` for a URL that names no store.
    """
    if url.startswith("sqlite:"):
        look = partial(_backlog, now=microseconds(clock.now()))
        return await asyncio.to_thread(_in_file, Address.of(url), "eventbus_outbox", look)
    if _is_postgres(url):
        from eventbus.stores.postgres import looking

        return await looking.backlog_at(url, _OPTIONS, clock)
    store_for(url, _OPTIONS)  # the others have an inbox only
    return None


async def pages_at(url: str, kind: str) -> Sequence[Page]:
    """Of the logbook; none where there is none. Raises as `backlog_at`."""
    if url.startswith("sqlite:"):
        look = partial(pages, kind=kind)
        return await asyncio.to_thread(_in_file, Address.of(url), "eventbus_logbook", look) or ()
    if _is_postgres(url):
        from eventbus.stores.postgres import looking

        return await looking.pages_at(url, _OPTIONS, kind)
    store_for(url, _OPTIONS)
    return ()


async def _was_opened(url: str) -> bool:
    """Raises `StoreUnavailable`, and `ConfigurationError` where no process could open it."""
    match scheme_of(url):
        case "sqlite":
            return await asyncio.to_thread(_file_was_opened, Address.of(url))
        case "postgresql" | "postgres":
            from eventbus.stores.postgres import looking as at_postgres

            return await at_postgres.was_opened(url, _OPTIONS)
        case "redis" | "rediss":
            from eventbus.stores.redis import looking as at_redis

            await at_redis.check(url, _OPTIONS)
            return True
        case _:  # in the memory of each process
            return True


def _file_was_opened(address: Address) -> bool:
    address.check()
    if address.file is None:
        return True
    if not address.file.is_file():
        return False
    try:
        with closing(_connect(address.file)) as connection:
            return schema().version(connection, address) > 0
    except sqlite3.Error as error:
        raise explained(error, address) from error


def _is_postgres(url: str) -> bool:
    return url.startswith(("postgresql:", "postgres:"))


def _in_file(address: Address, table: str, look: Callable[[sqlite3.Connection], Answer]) -> Answer | None:
    """None where there is no such file, or no such table in it."""
    if address.file is None or not address.file.is_file():
        return None
    try:
        with closing(_connect(address.file)) as connection:
            known = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?"
            if connection.execute(known, (table,)).fetchone() is None:
                return None
            return look(connection)
    except sqlite3.Error as error:
        raise StoreUnavailable(address.url, str(error)) from error


def _connect(file: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{quote(str(file))}?mode=ro", timeout=_OPTIONS.timeout, uri=True)


def _backlog(connection: sqlite3.Connection, *, now: int) -> Backlog:
    events, size, oldest = connection.execute(statements()["backlog"]).fetchone()
    return Backlog(events, size, None if oldest is None else max(0.0, (now - oldest) / 1_000_000))
