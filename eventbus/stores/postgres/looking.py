"""What waits in an outbox, for those who only look: nothing is created, migrated or claimed."""

from __future__ import annotations

import asyncio

import asyncpg

from eventbus.clock import Clock
from eventbus.databases.postgres.address import Address
from eventbus.databases.postgres.database import connected, explained
from eventbus.record import microseconds
from eventbus.store import Backlog
from eventbus.stores.options import StoreOptions
from eventbus.stores.postgres.identity import identified
from eventbus.stores.postgres.outbox import backlog
from eventbus.stores.postgres.statements import Statements


async def backlog_at(url: str, options: StoreOptions, clock: Clock) -> Backlog | None:
    """None where the database has no store. Raises `StoreUnavailable`."""
    address, statements = Address.of(url), Statements(options.schema)
    try:
        async with asyncio.timeout(options.timeout), connected(address, options.timeout) as connection:
            if await identified(connection, statements) is None:
                return None
            return await backlog(connection, statements, microseconds(clock.now()))
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise explained(error, address) from error
