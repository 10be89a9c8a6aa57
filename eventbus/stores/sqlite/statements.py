"""The SQL of this store, out of its .sql files."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType

from eventbus.stores.named import named


@cache
def statements() -> Mapping[str, str]:
    """By their names in `statements.sql` and `sourcing.sql`."""
    return MappingProxyType(named(_here("statements.sql")) | named(_here("sourcing.sql")))


@cache
def migrations() -> tuple[tuple[str, ...], ...]:
    """The statements of each step, the first step first."""
    folder = files("eventbus.stores.sqlite").joinpath("migrations")
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql"))
    return tuple(tuple(split(_here("migrations", name))) for name in names)


def split(script: str) -> Iterator[str]:
    """One by one: `executescript` would commit the transaction that it runs in."""
    pending = ""
    for part in re.split(r"(?<=;)", script):  # a semicolon may stand in a string or a comment too
        pending += part
        if sqlite3.complete_statement(pending):
            yield pending
            pending = ""
    if pending.strip():
        yield pending


def _here(*path: str) -> str:
    return files("eventbus.stores.sqlite").joinpath(*path).read_text("utf-8")
