"""The numbered steps from nothing to the schema that this version knows."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files

from eventbus.databases.sqlite.address import Address
from eventbus.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Schema:
    table: str
    """Of one row, which has the version."""
    steps: tuple[tuple[str, ...], ...]
    """The statements of each step, the first step first; the version is how many of them were done."""

    @classmethod
    def of(cls, table: str, package: str) -> Schema:
        """The files of its folder `migrations`, in the order of their names."""
        folder = files(package).joinpath("migrations")
        scripts = sorted(
            (entry.name, entry.read_text("utf-8"))
            for entry in folder.iterdir()
            if entry.name.endswith(".sql")
        )
        return cls(table, tuple(tuple(split(script)) for _, script in scripts))

    def is_current(self, connection: sqlite3.Connection) -> bool:
        return self._version(connection) == len(self.steps)

    def migrate(self, connection: sqlite3.Connection, address: Address) -> None:
        """Under the write lock: of several processes that find a fresh file, one creates and the others wait.

        Raises `ConfigurationError` for a newer one.
        """
        version, newest = self.version(connection, address), len(self.steps)
        for step in self.steps[version:]:
            for statement in step:
                connection.execute(statement)
        connection.execute(
            f"CREATE TABLE IF NOT EXISTS {self.table} "
            "(one INTEGER PRIMARY KEY CHECK (one = 1), version INTEGER NOT NULL)"
        )
        connection.execute(f"INSERT OR REPLACE INTO {self.table} VALUES (1, ?)", (newest,))  # noqa: S608  ours

    def version(self, connection: sqlite3.Connection, address: Address) -> int:
        """0 where nobody has created our tables yet. Raises `ConfigurationError` for a newer one."""
        version, newest = self._version(connection), len(self.steps)
        if version > newest:
            raise ConfigurationError(
                f"the {address.what} in {address.file} was written by a newer eventbus: its schema has "
                f"version {version}, this one knows {newest}. Upgrade eventbus here, or use another "
                f"{address.what}."
            )
        return version

    def _version(self, connection: sqlite3.Connection) -> int:
        exists = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?"
        if connection.execute(exists, (self.table,)).fetchone() is None:
            return 0
        version: int = connection.execute(f"SELECT version FROM {self.table}").fetchone()[0]  # noqa: S608  ours
        return version


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
