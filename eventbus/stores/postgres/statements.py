"""The SQL of this store, out of its .sql files, for one schema."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from typing import Final

from eventbus.databases.named import named
from eventbus.databases.postgres.migrations import scripts
from eventbus.errors import ConfigurationError

KNOWS_BUSES: Final = 5
"""The version of the schema since which an outbox says of which bus an event is."""
_SCHEMA: Final = re.compile(r"[a-z_][a-z0-9_]{0,47}")


class Statements:
    """By their names in `statements.sql` and `sourcing.sql`."""

    def __init__(self, schema: str) -> None:
        """Raises `ConfigurationError` for a name that would have to be quoted, or is too long."""
        if _SCHEMA.fullmatch(schema) is None or schema.startswith("pg_"):
            raise ConfigurationError(
                f"schema={schema!r}: 48 lower-case letters, digits and underscores at most, not pg_…, and no "
                "digit first."
            )
        self.schema = schema
        self.quoted = f'"{schema}"'
        self.outbox = f"{self.quoted}.outbox"
        self.channel = f"{schema}_outbox"
        """What NOTIFY names."""
        written = named(_here("statements.sql")) | named(_here("sourcing.sql"))
        self._by_name = {name: self.said(sql) for name, sql in written.items()}

    def __getitem__(self, name: str) -> str:
        return self._by_name[name]

    def said(self, sql: str) -> str:
        """For this schema."""
        return sql.replace("{schema}", self.quoted).replace("{channel}", self.channel)


@cache
def migrations() -> tuple[str, ...]:
    """Scripts, the first step first."""
    return scripts("eventbus.stores.postgres")


def _here(*path: str) -> str:
    return files("eventbus.stores.postgres").joinpath(*path).read_text("utf-8")
