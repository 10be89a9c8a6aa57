"""The store that a URL names; its driver is imported when it is chosen."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from eventbus.clock import Clock
from eventbus.errors import ConfigurationError
from eventbus.store import Store
from eventbus.stores.options import StoreOptions
from eventbus.stores.sqlite.writing import Writing

_DEFAULTS: Final = StoreOptions()


def store_for(
    url: str, options: StoreOptions = _DEFAULTS, *, writing: Writing | None = None, clock: Clock | None = None
) -> Store:
    """Not open yet. `writing` is who writes to that SQLite file already, if anybody in this process does.

    Raises `ConfigurationError` for a URL that names no store, or whose driver is not installed.
    """
    match urlsplit(url).scheme:
        case "memory":
            from eventbus.stores.memory import MemoryStore

            return MemoryStore(options, clock)
        case "sqlite":
            from eventbus.stores.sqlite.store import SqliteStore

            return SqliteStore(url, options, writing=writing, clock=clock)
        case "postgresql" | "postgres":
            return _postgres(url, options)
        case "redis" | "rediss":
            return _redis(url, options)
        case scheme:
            raise ConfigurationError(
                f"{scheme or 'nothing'}:// is no store: use sqlite:///eventbus.db, postgresql://…, redis://… "
                "(inbox only) or memory:// (inbox only, of this process)."
            )


def _postgres(url: str, options: StoreOptions) -> Store:
    try:
        from eventbus.stores.postgres import PostgresStore
    except ModuleNotFoundError as error:
        raise _missing("postgres", error) from error
    return PostgresStore(url, options)


def _redis(url: str, options: StoreOptions) -> Store:
    try:
        from eventbus.stores.redis import RedisStore
    except ModuleNotFoundError as error:
        raise _missing("redis", error) from error
    return RedisStore(url, options)


def _missing(extra: str, error: ModuleNotFoundError) -> ConfigurationError:
    return ConfigurationError(
        f"this store needs a package that is not installed ({error.name}): pip install 'eventbus[{extra}]'"
    )
