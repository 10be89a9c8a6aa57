"""Connecting, migrations, and clear words for what cannot work."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, TypeAlias

import asyncpg

from eventbus.errors import ConfigurationError
from eventbus.store import StoreUnavailable
from eventbus.stores.postgres.address import Address
from eventbus.stores.postgres.statements import Statements, migrations

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

PASSING: Final = (
    OSError,  # and so TimeoutError
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.TransactionRollbackError,
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,
    asyncpg.LockNotAvailableError,
    asyncpg.PostgresSystemError,
)
"""What may work when it is asked again: the server restarts, the disk is full, a lock was not to be had."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Which store in the world it is; another's differs in one of these at least."""

    database: str
    outbox: int
    mark: str


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
    try:
        await connection.close(timeout=1.0)
    except (Exception, asyncio.CancelledError):  # noqa: BLE001  it is closed either way
        connection.terminate()


async def prepare(address: Address, statements: Statements, timeout: float) -> Identity:
    """Create or migrate what is ours; several processes may do this at the same time.

    Raises `ConfigurationError` for what cannot work, `StoreUnavailable` for what may later.
    """
    try:
        async with asyncio.timeout(timeout), connected(address, timeout) as connection:
            return await _prepare(connection, address, statements)
    except _REFUSED as error:
        raise ConfigurationError(f"the store at {address.url} cannot be used: {words(error)}.") from error
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise explained(error, address) from error
    except ValueError as error:  # of the driver, about the URL, which it quotes
        raise ConfigurationError(
            f"the store's URL {address.url} cannot be read: use postgresql://user:password@host:5432/database."
        ) from error.__cause__


def explained(error: BaseException, address: Address) -> StoreUnavailable:
    return StoreUnavailable(address.url, words(error))


def words(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "it does not answer in time"
    return " ".join(str(error).split()) or type(error).__name__


async def identified(connection: Connection, statements: Statements) -> Identity | None:
    """None where the database has no store in this schema."""
    row = await connection.fetchrow(statements["place"], statements.outbox)
    return None if row is None or row[1] is None else Identity(row[0], row[1], row[2] or "")


async def _prepare(connection: Connection, address: Address, statements: Statements) -> Identity:
    if (server := connection.get_server_version()).major < OLDEST_SERVER:
        raise ConfigurationError(
            f"the store at {address.url} is on PostgreSQL {server.major}: it needs {OLDEST_SERVER} or newer."
        )
    if await connection.fetchval("SELECT current_setting('transaction_read_only')") == "on":
        raise ConfigurationError(
            f"the store at {address.url} is read-only: name the primary, and a user whose transactions may "
            "write (default_transaction_read_only)."
        )
    if await _version(connection, statements) != len(migrations()):
        # Before the transaction, which then begins with what was committed meanwhile, also in its caches. The
        # connection ends soon, and the lock with it.
        await connection.execute(
            "SELECT pg_advisory_lock(hashtext('eventbus'), hashtext($1))", statements.schema
        )
        async with connection.transaction():
            await _migrate(connection, address, statements)
    if (identity := await identified(connection, statements)) is None:
        raise StoreUnavailable(address.url, f"its schema {statements.schema} has no outbox any more")
    return identity


async def _version(connection: Connection, statements: Statements) -> int:
    """0 where nobody has created our tables yet."""
    if await connection.fetchval("SELECT to_regclass($1)", f"{statements.quoted}.store") is None:
        return 0
    version: int = await connection.fetchval(f"SELECT version FROM {statements.quoted}.store")  # noqa: S608  checked
    return version


async def _migrate(connection: Connection, address: Address, statements: Statements) -> None:
    """Under a lock of the caller's: of several processes that find nothing, one creates."""
    version, steps = await _version(connection, statements), migrations()
    if version > len(steps):
        raise ConfigurationError(
            f"the store at {address.url} was written by a newer eventbus: its schema {statements.schema} has "
            f"version {version}, this one knows {len(steps)}. Upgrade eventbus here, or use another store."
        )
    if version == len(steps):
        return
    # Not IF NOT EXISTS, which asks for the right to create it even where it exists.
    if await connection.fetchval("SELECT to_regnamespace($1)", statements.quoted) is None:
        await connection.execute(f"CREATE SCHEMA {statements.quoted}")
    for step in steps[version:]:
        await connection.execute(statements.said(step))
    if version == 0:
        mark = f"eventbus store {uuid.uuid4().hex}"
        await connection.execute(f"COMMENT ON TABLE {statements.outbox} IS '{mark}'")
    await connection.execute(
        f"INSERT INTO {statements.quoted}.store (version) VALUES ($1) "  # noqa: S608  checked
        "ON CONFLICT (one) DO UPDATE SET version = excluded.version",
        len(steps),
    )
