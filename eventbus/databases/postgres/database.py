"""Connecting, and clear words for what cannot work."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Final, TypeAlias

import asyncpg

from eventbus.databases.postgres.address import Address
from eventbus.errors import ConfigurationError
from eventbus.store import StoreUnavailable

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

OLDEST_SERVER: Final = 13

QUIET_PEERS: Final = (
    "SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3;"
)
"""A machine that has lost its power lets go of its locks after half a minute, and not after two hours.
By SET, for a connection pooler refuses what it does not know among the parameters of a connection."""

_OURS: Final = f"{QUIET_PEERS} SET default_transaction_isolation = 'read committed';"

_REFUSED: Final = (
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InsufficientPrivilegeError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.FeatureNotSupportedError,
    asyncpg.ClientConfigurationError,
)
"""What a person has to mend before it can work."""

FAILURES: Final = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
"""All that the driver raises; the last where a connection was cut in the middle of an answer."""

PASSING: Final = (
    OSError,  # and so TimeoutError
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.TransactionRollbackError,
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,
    asyncpg.LockNotAvailableError,
    asyncpg.PostgresSystemError,
    asyncpg.ReadOnlySQLTransactionError,
)
"""What may work when it is asked again: the server restarts, the disk is full, a lock was not to be had, and
the connection leads to what was the primary."""


async def connect(address: Address, timeout: float) -> Connection:
    """One of our own, with every answer bounded. Raises what the driver does."""
    connection: Connection = await asyncpg.connect(address.dsn, timeout=timeout, command_timeout=timeout)
    try:
        await connection.execute(_OURS)
    except BaseException:
        connection.terminate()
        raise
    return connection


@asynccontextmanager
async def connected(address: Address, timeout: float) -> AsyncGenerator[Connection]:
    connection = await connect(address, timeout)
    try:
        yield connection
    finally:
        await let_go(connection)


async def let_go(connection: Connection) -> None:
    """In good order, where the server answers at once."""
    with suppress(Exception):  # the driver has cut it then
        await connection.close(timeout=1.0)


@asynccontextmanager
async def prepared(address: Address, timeout: float) -> AsyncGenerator[Connection]:
    """To create or migrate what is ours, on a server that can have it, within so many seconds.

    Raises `ConfigurationError` for what cannot work, `StoreUnavailable` for what may later.
    """
    try:
        async with asyncio.timeout(timeout), connected(address, timeout) as connection:
            await _check(connection, address)
            yield connection
    except _REFUSED as error:
        raise ConfigurationError(
            f"the {address.what} at {address.url} cannot be used: {words(error)}."
        ) from error
    except FAILURES as error:
        raise explained(error, address) from error
    except ValueError as error:  # of the driver, about the URL, which it quotes
        raise unreadable(address) from error.__cause__


def unreadable(address: Address) -> ConfigurationError:
    return ConfigurationError(
        f"the {address.what}'s URL {address.url} cannot be read: use "
        "postgresql://user:password@host:5432/database."
    )


def explained(error: BaseException, address: Address) -> StoreUnavailable:
    return address.unavailable(words(error))


def words(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "it does not answer in time"
    return " ".join(str(error).split()) or type(error).__name__


async def _check(connection: Connection, address: Address) -> None:
    if (server := connection.get_server_version()).major < OLDEST_SERVER:
        raise ConfigurationError(
            f"the {address.what} at {address.url} is on PostgreSQL {server.major}: it needs "
            f"{OLDEST_SERVER} or newer."
        )
    if await connection.fetchval("SELECT current_setting('transaction_read_only')") == "on":
        raise ConfigurationError(
            f"the {address.what} at {address.url} is read-only: name the primary, and a user whose "
            "transactions may write (default_transaction_read_only)."
        )
