"""The store that a spool is kept in: a SQLite file of its own, begun anew where the old one is damaged."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Final
from urllib.parse import quote

from eventbus.clock import Clock
from eventbus.errors import ConfigurationError
from eventbus.logs import get_logger
from eventbus.stores.options import StoreOptions
from eventbus.stores.sqlite.store import SqliteStore

OPTIONS: Final = StoreOptions(lease=5.0, timeout=5.0)
"""What a killed process has left is taken over sooner than claims are: copies of it do no harm."""

_DAMAGE: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


async def opened_spool(path: Path, clock: Clock, bus: str) -> SqliteStore:
    """Of this bus, open, and to be closed.

    Raises `StoreUnavailable`, or `ConfigurationError` where no file can be. A damaged file is set aside
    beside the new one, with a line in the log.
    """
    await asyncio.to_thread(_set_aside_if_damaged, path, clock)
    store = SqliteStore(spool_url(path), replace(OPTIONS, bus=bus), clock=clock)
    await store.open()
    return store


def spool_url(path: Path) -> str:
    return f"sqlite:///{quote(str(path))}"


def _set_aside_if_damaged(path: Path, clock: Clock) -> None:
    try:
        found = path.stat()
    except OSError:  # there is none, or opening it tells what is wrong
        return
    if not path.is_file() or (damage := _damage(path)) is None:
        return
    aside = path.with_name(f"{path.name}.damaged-{clock.now():%Y%m%dT%H%M%S%f}")
    try:
        if path.stat().st_ino != found.st_ino:  # another process has done it
            return
        for suffix in ("", "-wal", "-shm"):
            part = path.with_name(path.name + suffix)
            if part.exists():
                part.rename(aside.with_name(aside.name + suffix))
    except OSError as error:
        raise ConfigurationError(
            f"the spool {path} is damaged ({damage}): move it away ({error})."
        ) from error
    get_logger("eventbus.spool").error(
        "spool.damaged",
        spool=str(path),
        problem=damage,
        kept_as=str(aside),
        advice="its events were not sent; `sqlite3 FILE .recover` may read them",
    )


def _damage(path: Path) -> str | None:
    """In words; None where all of it can be read, or SQLite cannot say now."""
    try:
        with closing(sqlite3.connect(path, timeout=OPTIONS.timeout, isolation_level=None)) as connection:
            said: str = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            return None if said == "ok" else " ".join(said.split())
    except sqlite3.DatabaseError as error:
        return str(error) if getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGE else None
