"""The numbered steps from nothing to the schema that this version knows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

from eventbus.databases.postgres.address import Address
from eventbus.databases.postgres.database import Connection
from eventbus.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Schema:
    name: str
    table: str
    """In the schema; of one row, which has the version: `one` and `version`."""
    steps: Sequence[str]
    """Scripts, the first step first; the version is how many of them were done."""

    @property
    def quoted(self) -> str:
        return f'"{self.name}"'

    async def migrate(self, connection: Connection, address: Address) -> None:
        """Several processes may do this at the same time: of those that find nothing, one creates.

        Leaves a lock that ends with the connection. Raises `ConfigurationError` for a newer one.
        """
        if await self.version(connection, address) == len(self.steps):
            return
        # Before the transaction, which then begins with what was committed meanwhile, also in its caches.
        await connection.execute("SELECT pg_advisory_lock(hashtext('eventbus'), hashtext($1))", self.name)
        async with connection.transaction():
            await self._migrate(connection, address)

    async def version(self, connection: Connection, address: Address) -> int:
        """0 where nobody has created our tables yet. Raises `ConfigurationError` for a newer one."""
        if await connection.fetchval("SELECT to_regclass($1)", f"{self.quoted}.{self.table}") is None:
            return 0
        version: int = await connection.fetchval(f"SELECT version FROM {self.quoted}.{self.table}")  # noqa: S608  ours
        if version > (newest := len(self.steps)):
            raise ConfigurationError(
                f"the {address.what} at {address.url} was written by a newer eventbus: its schema "
                f"{self.name} has version {version}, this one knows {newest}. Upgrade eventbus "
                f"here, or use another {address.what}."
            )
        return version

    async def _migrate(self, connection: Connection, address: Address) -> None:
        version, newest = await self.version(connection, address), len(self.steps)
        if version == newest:
            return
        # Not IF NOT EXISTS, which asks for the right to create it even where it exists.
        if await connection.fetchval("SELECT to_regnamespace($1)", self.quoted) is None:
            await connection.execute(f"CREATE SCHEMA {self.quoted}")
        for step in self.steps[version:]:
            await connection.execute(step)
        await connection.execute(
            f"INSERT INTO {self.quoted}.{self.table} (version) VALUES ($1) "  # noqa: S608  ours
            "ON CONFLICT (one) DO UPDATE SET version = excluded.version",
            newest,
        )


def scripts(package: str) -> tuple[str, ...]:
    """The files of its folder `migrations`, in the order of their names."""
    folder = files(package).joinpath("migrations")
    found = sorted(
        (entry.name, entry.read_text("utf-8")) for entry in folder.iterdir() if entry.name.endswith(".sql")
    )
    return tuple(script for _, script in found)
