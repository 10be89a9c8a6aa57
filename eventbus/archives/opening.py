"""The archive that a URL names; its driver is imported when it is chosen."""

from __future__ import annotations

from eventbus.archive import Archive
from eventbus.databases.drivers import require
from eventbus.databases.scheme import scheme_of
from eventbus.errors import ConfigurationError


def archive_for(url: str, *, timeout: float = 10.0) -> Archive:
    """Not open yet. Whatever is asked of it takes `timeout` seconds at most, waiting for locks included.

    Raises `ConfigurationError` for a URL that names no archive.
    """
    match scheme_of(url):
        case "sqlite":
            from eventbus.archives.sqlite.archive import SqliteArchive

            return SqliteArchive(url, timeout)
        case "postgresql" | "postgres":
            require("asyncpg", "postgres", "archive")
            from eventbus.archives.postgres.archive import PostgresArchive

            return PostgresArchive(url, timeout)
        case scheme:
            raise ConfigurationError(
                f"{scheme or 'nothing'}:// is no archive of this version: use sqlite:///archive.db or "
                "postgresql://user@host/database."
            )
