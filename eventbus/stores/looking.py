"""What lies in a store, for those who only look: nothing is created, migrated or claimed."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
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
from eventbus.store import StoreReport, StoreUnavailable
from eventbus.stores.entries import NO_OUTBOX, Backlogs, backlog_of
from eventbus.stores.opening import store_for
from eventbus.stores.options import StoreOptions
from eventbus.stores.sqlite.logbook import pages
from eventbus.stores.sqlite.outbox import backlog, backlogs_of_others
from eventbus.stores.sqlite.statements import KNOWS_BUSES, schema, statements

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


async def backlogs_at(url: str, bus: str, clock: Clock) -> Backlogs:
    """Raises `StoreUnavailable`, and `ConfigurationError` for a URL that names no store."""
    if url.startswith("sqlite:"):
        address, now = Address.of(url), microseconds(clock.now())
        look = partial(_backlogs, address=address, bus=bus, now=now)
        return await asyncio.to_thread(_in_file, address, "eventbus_outbox", look) or NO_OUTBOX
    if _is_postgres(url):
        from eventbus.stores.postgres import looking

        return await looking.backlogs_at(url, replace(_OPTIONS, bus=bus), clock) or NO_OUTBOX
    store_for(url, _OPTIONS)  # the others have an inbox only
    return NO_OUTBOX


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


def _backlogs(connection: sqlite3.Connection, *, address: Address, bus: str, now: int) -> Backlogs:
    if schema().version(connection, address) < KNOWS_BUSES:
        return Backlogs(backlog_of(connection.execute(statements()["backlog_of_all"]).fetchone(), now))
    return Backlogs(backlog(connection, bus=bus, now=now), backlogs_of_others(connection, bus=bus, now=now))
