"""What lies in a store, for those who only look: nothing is created, migrated or claimed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import asyncpg

from eventbus.clock import Clock
from eventbus.databases.postgres.address import Address
from eventbus.databases.postgres.database import (
    FAILURES,
    Connection,
    connected,
    explained,
    prepared,
    unreadable,
)
from eventbus.databases.postgres.migrations import Schema
from eventbus.logbook import Page
from eventbus.record import microseconds
from eventbus.stores.entries import Backlogs, backlog_of
from eventbus.stores.options import StoreOptions
from eventbus.stores.postgres.identity import identified
from eventbus.stores.postgres.logbook import pages
from eventbus.stores.postgres.outbox import backlog, backlogs_of_others
from eventbus.stores.postgres.statements import KNOWS_BUSES, Statements, migrations

Answer = TypeVar("Answer")


async def was_opened(url: str, options: StoreOptions) -> bool:
    """Whether the database has a store.

    Raises `StoreUnavailable`, and `ConfigurationError` where no process could open it: it is read-only, or of
    a newer schema.
    """
    address, schema = Address.of(url), Schema(options.schema, "store", migrations())
    async with prepared(address, options.timeout) as connection:
        return await schema.version(connection, address) > 0


async def backlogs_at(url: str, options: StoreOptions, clock: Clock) -> Backlogs | None:
    """None where the database has no store. Raises `StoreUnavailable`, `ConfigurationError`."""
    address, schema = Address.of(url), Schema(options.schema, "store", migrations())
    bus, now = options.bus, microseconds(clock.now())

    async def look(connection: Connection, sql: Statements) -> Backlogs:
        if await schema.version(connection, address) < KNOWS_BUSES:
            (row,) = await connection.fetch(sql["backlog_of_all"])
            return Backlogs(backlog_of(tuple(row), now))
        return Backlogs(
            await backlog(connection, sql, bus, now), await backlogs_of_others(connection, sql, bus, now)
        )

    return await _look(url, options, look)


async def pages_at(url: str, options: StoreOptions, kind: str) -> Sequence[Page]:
    """None of them where the database has no store. Raises `StoreUnavailable`, `ConfigurationError`."""
    found = await _look(url, options, lambda connection, statements: pages(connection, statements, kind))
    return found or ()


async def _look(
    url: str, options: StoreOptions, look: Callable[[Connection, Statements], Awaitable[Answer]]
) -> Answer | None:
    address, statements = Address.of(url), Statements(options.schema)
    try:
        async with asyncio.timeout(options.timeout), connected(address, options.timeout) as connection:
            if await identified(connection, statements) is None:
                return None
            return await look(connection, statements)
    except asyncpg.UndefinedTableError:  # a store of an older version
        return None
    except FAILURES as error:
        raise explained(error, address) from error
    except ValueError as error:  # of the driver, about the URL, which it quotes
        raise unreadable(address) from error.__cause__
