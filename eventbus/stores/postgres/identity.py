"""Which store a connection leads to, and that it is there."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from eventbus.databases.postgres.address import Address
from eventbus.databases.postgres.database import Connection, prepared
from eventbus.databases.postgres.migrations import Schema
from eventbus.stores.postgres.statements import Statements, migrations


@dataclass(frozen=True, slots=True)
class Identity:
    """Which store in the world it is; another's differs in one of these at least."""

    database: str
    outbox: int
    mark: str


async def prepare(address: Address, statements: Statements, timeout: float) -> Identity:
    """Create or migrate what is ours. Raises `ConfigurationError`, `StoreUnavailable`; see `prepared`."""
    first, *more = (statements.said(step) for step in migrations())
    marked = f"{first}\n; COMMENT ON TABLE {statements.outbox} IS 'eventbus store {uuid.uuid4().hex}'"
    schema = Schema(statements.schema, "store", [marked, *more])
    async with prepared(address, timeout) as connection:
        await schema.migrate(connection, address)
        identity = await identified(connection, statements)
    if identity is None:
        raise address.unavailable(f"its schema {statements.schema} has no outbox any more")
    return identity


async def identified(connection: Connection, statements: Statements) -> Identity | None:
    """None where the database has no store in this schema."""
    row = await connection.fetchrow(statements["place"], statements.outbox)
    return None if row is None or row[1] is None else Identity(row[0], row[1], row[2] or "")
