"""The SQL of this archive, out of its .sql files."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import cache
from importlib.resources import files
from types import MappingProxyType

from eventbus.archives.months import span
from eventbus.databases.named import named
from eventbus.databases.postgres.migrations import Schema, scripts


@cache
def statements() -> Mapping[str, str]:
    """By their names in `statements.sql`."""
    text = files("eventbus.archives.postgres").joinpath("statements.sql").read_text("utf-8")
    return MappingProxyType(named(text))


@cache
def schema() -> Schema:
    return Schema("eventbus_archive", "archive", scripts("eventbus.archives.postgres"))


def make_month(month: str) -> str:
    begins, ends = span(month)
    return (
        statements()["make_month"]
        .replace("{month}", month)
        .replace("{begins}", _bound(begins, "MINVALUE"))
        .replace("{ends}", _bound(ends, "MAXVALUE"))
    )


def _bound(moment: datetime | None, none: str) -> str:
    return none if moment is None else f"'{moment.isoformat()}'"
