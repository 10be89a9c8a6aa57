"""The store that a URL names; its driver is imported when it is chosen."""

from __future__ import annotations

from typing import Final

from eventbus.clock import Clock
from eventbus.databases.drivers import require
from eventbus.databases.scheme import scheme_of
from eventbus.databases.sqlite.writing import Writing
from eventbus.errors import ConfigurationError
from eventbus.store import Store
from eventbus.stores.options import StoreOptions

_DEFAULTS: Final = StoreOptions()


def store_for(
    url: str, options: StoreOptions = _DEFAULTS, *, writing: Writing | None = None, clock: Clock | None = None
) -> Store:
    """Not open yet. `writing` is who writes to that SQLite file already, if anybody in this process does.

    Raises `ConfigurationError` for a URL that names no store.
    """
    match scheme_of(url):
        case "memory":
            from eventbus.stores.memory import MemoryStore

            return MemoryStore(options, clock)
        case "sqlite":
            from eventbus.stores.sqlite.store import SqliteStore

            return SqliteStore(url, options, writing=writing, clock=clock)
        case "postgresql" | "postgres":
            require("asyncpg", "postgres", "store")
            from eventbus.stores.postgres.store import PostgresStore

            return PostgresStore(url, options, clock)
        case "redis" | "rediss":
            require("redis", "redis", "store")
            from eventbus.stores.redis.store import RedisStore

            return RedisStore(url, options, clock)
        case scheme:
            raise ConfigurationError(
                f"{scheme or 'nothing'}:// is no store of this version: use sqlite:///eventbus.db, "
                "postgresql://user@host/database, redis://host (inbox only), or memory:// (the same, of this "
                "process)."
            )
