"""The SQL of this archive, out of its .sql files."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType

from eventbus.databases.named import named
from eventbus.databases.sqlite.migrations import Schema


@cache
def statements() -> Mapping[str, str]:
    """By their names in `statements.sql`."""
    text = files("eventbus.archives.sqlite").joinpath("statements.sql").read_text("utf-8")
    return MappingProxyType(named(text))


@cache
def of_month(name: str, month: str) -> str:
    return statements()[name].replace("{month}", month)


@cache
def schema() -> Schema:
    return Schema.of("eventbus_archive", "eventbus.archives.sqlite")
