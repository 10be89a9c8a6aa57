"""What the bus writes in somebody's transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, cast

import asyncpg

from eventbus.clock import Clock
from eventbus.databases.postgres.address import Address
from eventbus.databases.postgres.database import PASSING, Connection, explained
from eventbus.record import microseconds
from eventbus.store import InboxKey, Joined, WrongTransaction
from eventbus.stores.postgres.identity import Identity, identified
from eventbus.stores.postgres.inbox import columns
from eventbus.stores.postgres.owner import Owner
from eventbus.stores.postgres.statements import Statements
from eventbus.stores.postgres.transaction import PostgresTransaction
from eventbus.stores.postgres.writing import Putting
from eventbus.stores.sessions import UserSession, is_sqlalchemy
from eventbus.transport import Message


class Joining(Protocol):
    """One way to a transaction."""

    async def connection(self) -> Connection: ...


class PostgresJoined:
    """Its writes are as durable as the transaction's commit."""

    def __init__(self, joining: Joining, place: Place, owner: Owner, clock: Clock) -> None:
        self._joining = joining
        self._place = place
        self._owner = owner
        self._clock = clock

    async def put(self, messages: Sequence[Message], keys: Sequence[str | None]) -> None:
        if messages:
            place, now = self._place, microseconds(self._clock.now())
            putting = Putting(place.statements, messages, keys, now, place.bus)
            connection = await checked(self._joining, self._place)
            try:
                await putting(connection)
            except PASSING as error:
                raise explained(error, self._place.address) from error

    def put_now(self, messages: Sequence[Message], keys: Sequence[str | None]) -> None:  # noqa: ARG002  the port's
        raise WrongTransaction(
            "a connection of asyncpg needs the event loop", "Use `await bus.publish(…, transaction=…)`."
        )

    async def complete(self, keys: Sequence[InboxKey]) -> frozenset[InboxKey]:
        connection = await checked(self._joining, self._place)
        statement, now = self._place.statements["complete"], microseconds(self._clock.now())
        try:
            lost: list[int] = await connection.fetchval(statement, self._owner.id, now, *columns(keys))
        except PASSING as error:
            raise explained(error, self._place.address) from error
        return frozenset(keys[place - 1] for place in lost)


async def checked(joining: Joining, place: Place) -> Connection:
    """In a transaction of this very database; raises `WrongTransaction` before anything is written."""
    try:
        connection = await joining.connection()
        found = await identified(connection, place.statements)
    except asyncpg.InsufficientPrivilegeError as error:
        raise WrongTransaction(
            f"its user may not see the schema {place.statements.schema}",
            f"GRANT it USAGE of the schema, and SELECT, INSERT, UPDATE of the tables in it ({error}).",
        ) from error
    except PASSING as error:
        raise explained(error, place.address) from error
    if found != place.identity:
        raise WrongTransaction(
            f"it is one of another database than the store at {place.address.url}",
            "Open the store in the database that your own tables are in (`store=`, EVENTBUS_STORE).",
        )
    return connection


class Place:
    """The store that is written to."""

    def __init__(self, address: Address, statements: Statements, identity: Identity, bus: str) -> None:
        """`bus`: see `StoreOptions`."""
        self.address = address
        self.statements = statements
        self.identity = identity
        self.bus = bus

    def join(self, given: object, owner: Owner, clock: Clock) -> Joined:
        """Raises `WrongTransaction`."""
        return PostgresJoined(self.joining(given), self, owner, clock)

    def joining(self, given: object) -> Joining:
        """Raises `WrongTransaction`."""
        match given:
            case PostgresTransaction():
                return _UserConnection(cast("Connection", given.connection))
            case asyncpg.Connection():
                return _UserConnection(given)
            case _ if is_sqlalchemy(given):
                return _Session(UserSession(given, "postgresql"))
            case _:
                raise WrongTransaction(
                    f"{type(given).__name__} is no transaction of the store at {self.address.url}",
                    "Give the handler's own Transaction, an asyncpg.Connection, or an AsyncSession of "
                    "SQLAlchemy.",
                )


class _UserConnection:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        _check_transaction(connection)

    async def connection(self) -> Connection:
        _check_transaction(self._connection)
        return self._connection


class _Session:
    """Our statements go to the asyncpg connection that the session has in its transaction."""

    def __init__(self, session: UserSession) -> None:
        self._session = session
        if session.driver != "asyncpg":
            raise WrongTransaction(
                f"the SQLAlchemy session uses {session.driver}",
                "Give an AsyncSession or AsyncConnection on postgresql+asyncpg://.",
            )

    async def connection(self) -> Connection:
        found: Connection = await self._session.driver_connection()
        _check_transaction(found)
        return found


def _check_transaction(connection: Connection) -> None:
    """Raises `WrongTransaction` for one that is closed, given back, or in no transaction."""
    try:
        closed = connection.is_closed()
        is_in_transaction = not closed and connection.is_in_transaction()
    except asyncpg.InterfaceError as error:  # of a pool, and given back
        raise WrongTransaction(
            f"the connection cannot be used ({error})", "Give one that is open."
        ) from error
    if closed:
        raise WrongTransaction("the connection is closed", "Give one that is open and in a transaction.")
    if not is_in_transaction:
        raise WrongTransaction(
            "the connection is in no transaction",
            "Begin one first (`async with connection.transaction():`), and commit it afterwards.",
        )
