"""Opening the file: pragmas, migrations, patience with locks, and clear words for what cannot work."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from typing import Final, TypeVar

from eventbus.databases.sqlite.address import Address
from eventbus.databases.sqlite.descriptors import too_many_open
from eventbus.databases.sqlite.migrations import Schema
from eventbus.errors import ConfigurationError
from eventbus.store import StoreUnavailable

Answer = TypeVar("Answer")
Kind = TypeVar("Kind", bound=sqlite3.Connection)

OLDEST_SQLITE: Final = (3, 36, 0)
"""RETURNING is from 3.35; databases in memory that connections share, from this one."""
_WAL_KEPT_BYTES: Final = 64 * 1024**2
_PATIENCE_TO_CONNECT: Final = 2.0
"""Seconds. Writers lock nobody out who connects; only who converts the file, or recovers its log, does."""
_BUSY: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_UNWRITABLE: Final = frozenset({sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM})
_PASSING: Final = _BUSY | _UNWRITABLE | {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_NOMEM}


def connect(address: Address, factory: type[Kind], *, durable: bool) -> Kind:
    """In autocommit: whoever writes begins and commits. `durable`: a commit waits for the disk.

    Without that a commit survives the death of all processes, kill -9 included, for the operating system has
    it; a power failure may take the last of them, and leaves the file whole.
    """
    connection = sqlite3.connect(
        address.target,
        timeout=0,
        isolation_level=None,
        check_same_thread=False,
        factory=factory,
        uri=address.file is None,
    )
    try:
        patiently(lambda: _configure(connection, durable=durable), _PATIENCE_TO_CONNECT)
    except BaseException:
        sqlite3.Connection.close(connection)
        raise
    return connection


def _configure(connection: sqlite3.Connection, *, durable: bool) -> None:
    sqlite3.Cursor(connection).execute("PRAGMA trusted_schema = OFF")
    sqlite3.Cursor(connection).execute(f"PRAGMA journal_size_limit = {_WAL_KEPT_BYTES}")
    set_durable(connection, durable=durable)


def set_durable(connection: sqlite3.Connection, *, durable: bool) -> None:
    sqlite3.Cursor(connection).execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")


def prepare(address: Address, schema: Schema, timeout: float) -> None:
    """Create or migrate what is ours; several processes may do this at the same time.

    Raises `ConfigurationError` for a file that cannot be one of ours, `StoreUnavailable` when others keep it
    locked for `timeout` seconds.
    """
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        raise ConfigurationError(
            f"this Python has SQLite {sqlite3.sqlite_version}, the {address.what} needs 3.36 or newer: use a "
            f"newer Python build, or a postgresql:// {address.what}."
        )
    address.check()
    try:
        with closing(connect(address, sqlite3.Connection, durable=True)) as connection:
            if address.file is not None:
                patiently(lambda: _use_wal(connection, address), timeout)
            if not patiently(lambda: schema.is_current(connection), timeout):
                in_transaction(connection, lambda: schema.migrate(connection, address), timeout)
    except sqlite3.Error as error:
        raise explained(error, address) from error


def in_transaction(connection: sqlite3.Connection, work: Callable[[], Answer], timeout: float) -> Answer:
    """What `work` answers, committed; rolled back when it raises."""
    patiently(lambda: connection.execute("BEGIN IMMEDIATE"), timeout)
    try:
        answer = work()
        patiently(lambda: connection.execute("COMMIT"), timeout)
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return answer


def patiently(attempt: Callable[[], Answer], timeout: float) -> Answer:
    """`attempt`, again and again for so many seconds while others keep the file locked.

    SQLite's own busy handler sleeps up to 0.1 s at a time, and some locks it does not wait for at all.
    """
    ends = time.monotonic() + timeout
    pause = 0.0005
    while True:
        try:
            return attempt()
        except sqlite3.OperationalError as error:
            if not is_locked(error) or time.monotonic() >= ends:
                raise
        time.sleep(pause)
        pause = min(pause * 2, 0.01)


def is_locked(error: sqlite3.Error) -> bool:
    return _code(error) in _BUSY


def is_passing(error: sqlite3.Error) -> bool:
    """Whether the same may work later: the file is locked, the disk is full or mounted read-only, …"""
    return _code(error) in _PASSING


def unavailable(error: sqlite3.Error, address: Address) -> StoreUnavailable:
    """Of a store that was open: whatever it is now, work waits until somebody has mended it."""
    told = explained(error, address)
    return told if isinstance(told, StoreUnavailable) else address.unavailable(str(told))


def explained(error: sqlite3.Error, address: Address) -> Exception:
    """Of one that is being opened."""
    match _code(error):
        case sqlite3.SQLITE_NOTADB | sqlite3.SQLITE_CORRUPT:
            return ConfigurationError(
                f"{address.file} is no SQLite database ({error}): name another file, or restore this one."
            )
        case sqlite3.SQLITE_CANTOPEN if problem := too_many_open():
            return address.unavailable(problem)
        case code if code in _UNWRITABLE:
            return ConfigurationError(
                f"cannot write {address.file} ({error}): this user needs to write to the file and to its "
                "directory, where SQLite keeps the write-ahead log beside it."
            )
        case _:
            return address.unavailable(str(error))


def _code(error: sqlite3.Error) -> int:
    """SQLite's result code without its extension; 0 where SQLite was not even asked."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _use_wal(connection: sqlite3.Connection, address: Address) -> None:
    mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        raise ConfigurationError(
            f"{address.file} cannot be shared by processes: its file system knows no write-ahead log "
            f"(SQLite answers {mode!r}). Keep it on a local disk."
        )
