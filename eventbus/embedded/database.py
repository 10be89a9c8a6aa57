"""Opening the file: pragmas, the schema, and clear words for what cannot work."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Final

from eventbus.databases.sqlite.descriptors import too_many_open
from eventbus.embedded.options import EmbeddedOptions
from eventbus.embedded.url import MEMORY
from eventbus.errors import BrokerUnreachable, ConfigurationError

SCHEMA_VERSION: Final = 1

OLDEST_SQLITE: Final = (3, 35, 0)
"""The first with RETURNING."""
_CHECKPOINT_PAGES: Final = 4000
_WAL_KEPT_BYTES: Final = 64 * 1024**2
NO_CODE: Final = 0
"""Where SQLite was not even asked."""
BUSY: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})


def open_writer(path: str, url: str, options: EmbeddedOptions) -> sqlite3.Connection:
    """The connection that writes, with the schema in place; several processes may do this at the same time.

    Raises `ConfigurationError` for a file that cannot be one of ours, `BrokerUnreachable` when others keep it
    locked for `busy_timeout` seconds, or it is not there and not to be made.
    """
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        raise ConfigurationError(
            f"this Python has SQLite {sqlite3.sqlite_version}, the embedded transport needs 3.35 or newer: "
            "use a newer Python build, or an amqp:// URL."
        )
    _check_place(path)
    may_be_new = options.create or path == MEMORY
    if not may_be_new and not Path(path).exists():
        raise _not_made(path, url)
    try:
        connection = _connect(path)
        try:
            patience = Patience(options.busy_timeout)
            if not may_be_new:
                patiently(lambda: _check_made(connection, path, url), patience)
            patiently(lambda: _prepare(connection, path), patience)
        except BaseException:
            connection.close()
            raise
    except sqlite3.Error as error:
        raise _explained(error, path, url) from error
    return connection


def identity(file: Path | None) -> tuple[int, int] | None:
    """What tells this file from another one of the same name; None where there is none."""
    try:
        found = file.stat() if file is not None else None
    except OSError:
        return None
    return None if found is None else (found.st_dev, found.st_ino)


def open_reader(path: str) -> sqlite3.Connection:
    """A connection that cannot write, beside the writer of a file; never blocked by it."""
    connection = _connect(path)
    connection.execute("PRAGMA query_only = ON")
    return connection


def open_readers(path: str, url: str) -> tuple[sqlite3.Connection | None, sqlite3.Connection | None]:
    """One to watch a file with, one for queries; none of a database in memory. Raises as `open_writer`."""
    if path == MEMORY:
        return None, None
    try:
        watching = open_reader(path)
        try:
            return watching, open_reader(path)
        except BaseException:
            watching.close()
            raise
    except sqlite3.Error as error:
        raise _explained(error, path, url) from error


@dataclass(slots=True)
class Patience:
    """How long to wait for a file that others keep locked, in seconds; may be shortened meanwhile."""

    seconds: float


def patiently(attempt: Callable[[], object], patience: Patience) -> None:
    """`attempt`, again and again while other processes keep the file locked.

    SQLite's own busy handler sleeps up to 0.1 s at a time, and some locks it does not wait for at all.
    """
    began = time.monotonic()
    pause = 0.0005
    while True:
        try:
            attempt()
        except sqlite3.OperationalError as error:
            if not is_busy(error) or time.monotonic() - began >= patience.seconds:
                raise
        else:
            return
        time.sleep(pause)
        pause = min(pause * 2, 0.01)


def is_busy(error: sqlite3.Error) -> bool:
    return primary_code(error) in BUSY


def primary_code(error: sqlite3.Error) -> int:
    """SQLite's result code without its extension."""
    return getattr(error, "sqlite_errorcode", NO_CODE) & 0xFF


def _connect(path: str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA trusted_schema = OFF")
    return connection


def _check_place(path: str) -> None:
    if path == MEMORY:
        return
    if not path:
        raise ConfigurationError("the path is empty: name a file such as events.db, or :memory:")
    place = Path(path)
    if place.is_dir():
        raise ConfigurationError(f"{place} is a directory: name a file, such as {place / 'eventbus.db'}.")
    parent = place.absolute().parent
    if not parent.is_dir():
        raise ConfigurationError(
            f"cannot keep events in {place}: the directory {parent} does not exist. "
            "Create it, or name a file somewhere else."
        )


def _check_made(connection: sqlite3.Connection, path: str, url: str) -> None:
    if _schema_version(connection) is None:  # such as the store of a program whose broker is RabbitMQ
        raise _not_made(path, url)


def _not_made(path: str, url: str) -> BrokerUnreachable:
    return BrokerUnreachable(url, f"no worker or publisher has begun {Path(path).absolute()}")


def _prepare(connection: sqlite3.Connection, path: str) -> None:
    if path != MEMORY:
        _use_wal(connection, path)
    connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
    connection.execute(f"PRAGMA journal_size_limit = {_WAL_KEPT_BYTES}")
    if _schema_version(connection) is None:
        _create_schema(connection)
    version = _schema_version(connection)
    if version != SCHEMA_VERSION:
        raise ConfigurationError(
            f"{path} was written by a newer eventbus: its schema has version {version}, this one knows "
            f"{SCHEMA_VERSION}. Upgrade eventbus here, or use another file."
        )


def _use_wal(connection: sqlite3.Connection, path: str) -> None:
    mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        raise ConfigurationError(
            f"{path} cannot be shared by processes: its file system knows no write-ahead log "
            f"(SQLite answers {mode!r}). Keep it on a local disk."
        )


def _schema_version(connection: sqlite3.Connection) -> int | None:
    """None where nobody has created our tables yet."""
    exists = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'eventbus_transport'"
    if connection.execute(exists).fetchone() is None:
        return None
    version: int = connection.execute("SELECT schema_version FROM eventbus_transport").fetchone()[0]
    return version


def _create_schema(connection: sqlite3.Connection) -> None:
    """Under the write lock: of several processes that find a fresh file, one creates and the others wait."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        if _schema_version(connection) is None:
            for statement in _statements(
                files("eventbus.embedded").joinpath("schema.sql").read_text("utf-8")
            ):
                connection.execute(statement)
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _statements(script: str) -> list[str]:
    """One by one: `executescript` would commit the transaction that holds the lock."""
    statements: list[str] = []
    pending = ""
    for line in script.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            statements.append(pending)
            pending = ""
    return statements


def _explained(error: sqlite3.Error, path: str, url: str) -> Exception:
    match primary_code(error):
        case sqlite3.SQLITE_NOTADB | sqlite3.SQLITE_CORRUPT:
            return ConfigurationError(
                f"{path} is no SQLite database ({error}): name another file, or restore this one."
            )
        case sqlite3.SQLITE_CANTOPEN if problem := too_many_open():
            return BrokerUnreachable(url, problem)
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_PERM:
            return ConfigurationError(
                f"cannot write {path} ({error}): this user needs to write to the file and to its directory, "
                "where SQLite keeps the write-ahead log beside it."
            )
        case _:
            return BrokerUnreachable(url, str(error))
