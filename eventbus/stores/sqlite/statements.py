"""The SQL of this store, out of its .sql files."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Final

from eventbus.databases.named import named
from eventbus.databases.sqlite.migrations import Schema

KNOWS_BUSES: Final = 5
"""The version of the schema since which an outbox says of which bus an event is."""


@cache
def statements() -> Mapping[str, str]:
    """By their names in `statements.sql` and `sourcing.sql`."""
    return MappingProxyType(named(_here("statements.sql")) | named(_here("sourcing.sql")))


@cache
def schema() -> Schema:
    return Schema.of("eventbus_store", "eventbus.stores.sqlite")


def _here(*path: str) -> str:
    return files("eventbus.stores.sqlite").joinpath(*path).read_text("utf-8")
