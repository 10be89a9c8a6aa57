"""What the bus writes in somebody's transaction."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol, TypeVar

from eventbus.clock import Clock
from eventbus.databases.sqlite.address import Address
from eventbus.record import microseconds
from eventbus.store import InboxKey, Joined, WrongTransaction
from eventbus.stores.entries import rows
from eventbus.stores.sessions import UserSession, is_sqlalchemy
from eventbus.stores.sqlite.inbox import key_row
from eventbus.stores.sqlite.lazy import LazyConnection
from eventbus.stores.sqlite.owner import Owner
from eventbus.stores.sqlite.statements import statements
from eventbus.stores.sqlite.transaction import SqliteTransaction
from eventbus.transport import Message

Answer = TypeVar("Answer")

_DATABASE: Final = "SELECT file FROM pragma_database_list WHERE name = 'main'"


class Joint(Protocol):
    def run(self, statement: str, rows: Sequence[Mapping[str, Any]]) -> int:
        """How many rows it changed."""
        ...

    def one(self, query: str, parameters: Mapping[str, Any]) -> Sequence[Any] | None: ...

    def all(self, query: str, parameters: Mapping[str, Any]) -> Sequence[Sequence[Any]]: ...


class Joining(Protocol):
    """One way to a transaction."""

    async def run(self, work: Callable[[Joint], Answer]) -> Answer: ...

    def run_now(self, work: Callable[[Joint], Answer]) -> Answer: ...


def join(given: object, address: Address, owner: Owner, clock: Clock, bus: str) -> Joined:
    """Raises `WrongTransaction`."""
    return SqliteJoined(joining_for(given, address), address, owner, clock, bus)


def joining_for(given: object, address: Address) -> Joining:
    """Raises `WrongTransaction`."""
    match given:
        case SqliteTransaction():
            _check(given.connection, address)
            return _OwnTransaction(given)
        case sqlite3.Connection():
            _check(given, address)
            return _UserConnection(given)
        case _ if is_sqlalchemy(given):
            session = UserSession(given, "sqlite")
            if not session.needs_loop:
                session.run_now(lambda joint: check_place(joint, address))
            return session
        case _:
            raise WrongTransaction(
                f"{type(given).__name__} is no transaction of the store at {address.url}",
                "Give the handler's own Transaction, a sqlite3.Connection, or a SQLAlchemy session.",
            )


class SqliteJoined:
    def __init__(self, joining: Joining, address: Address, owner: Owner, clock: Clock, bus: str) -> None:
        self._joining = joining
        self._address = address
        self._owner = owner
        self._clock = clock
        self._bus = bus

    async def put(self, messages: Sequence[Message], keys: Sequence[str | None]) -> None:
        if messages:
            await self._joining.run(self._putting(messages, keys))

    def put_now(self, messages: Sequence[Message], keys: Sequence[str | None]) -> None:
        if messages:
            self._joining.run_now(self._putting(messages, keys))

    async def complete(self, keys: Sequence[InboxKey]) -> frozenset[InboxKey]:
        now = microseconds(self._clock.now())

        def complete(joint: Joint) -> frozenset[InboxKey]:
            check_place(joint, self._address)
            return frozenset(key for key in keys if not _completed(joint, key_row(key, self._owner.id, now)))

        return await self._joining.run(complete)

    def _putting(self, messages: Sequence[Message], keys: Sequence[str | None]) -> Callable[[Joint], None]:
        put = rows(messages, keys, microseconds(self._clock.now()), self._bus)

        def putting(joint: Joint) -> None:
            check_place(joint, self._address)
            joint.run(statements()["put"], put)

        return putting


class Native:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def run(self, statement: str, rows: Sequence[Mapping[str, Any]]) -> int:
        return self._connection.executemany(statement, rows).rowcount

    def one(self, query: str, parameters: Mapping[str, Any]) -> Sequence[Any] | None:
        found: Sequence[Any] | None = self._asked(query, parameters).fetchone()
        return found

    def all(self, query: str, parameters: Mapping[str, Any]) -> Sequence[Sequence[Any]]:
        return self._asked(query, parameters).fetchall()

    def is_lent_by(self, address: Address) -> bool:
        return isinstance(self._connection, LazyConnection) and self._connection.address == address

    def _asked(self, query: str, parameters: Mapping[str, Any]) -> sqlite3.Cursor:
        cursor = self._connection.cursor()
        cursor.row_factory = None  # the user's own may make something else of a row
        return cursor.execute(query, parameters)


class _OwnTransaction:
    def __init__(self, transaction: SqliteTransaction) -> None:
        self._transaction = transaction

    async def run(self, work: Callable[[Joint], Answer]) -> Answer:
        return await self._transaction.run(lambda connection: work(Native(connection)))

    def run_now(self, work: Callable[[Joint], Answer]) -> Answer:
        return work(Native(self._transaction.connection))


class _UserConnection:
    """In the caller's thread: most connections know only the one that they were opened in."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    async def run(self, work: Callable[[Joint], Answer]) -> Answer:
        return self.run_now(work)

    def run_now(self, work: Callable[[Joint], Answer]) -> Answer:
        return work(Native(self._connection))


def _completed(joint: Joint, row: Mapping[str, Any]) -> bool:
    """Whether it was ours, or nobody's."""
    sql = statements()
    if joint.run(sql["complete"], [row]) == 1:
        return True
    return joint.one(sql["holder"], row) is None and joint.run(sql["complete_forgotten"], [row]) == 1


def _check(connection: sqlite3.Connection, address: Address) -> None:
    """Raises `WrongTransaction` for one that is in no transaction, or is one of another database."""
    if isinstance(connection, LazyConnection):
        if not connection.is_lent:
            raise WrongTransaction("it has ended", "Use it inside of the handler only.")
        if connection.address != address:
            raise _another(address)
        return
    try:
        if not connection.in_transaction:
            raise WrongTransaction(
                "the connection is in no transaction",
                "Begin one first (`BEGIN`), and commit it afterwards.",
            )
        check_place(Native(connection), address)
    except sqlite3.ProgrammingError as error:
        raise WrongTransaction(
            f"the connection cannot be used here ({error})",
            "Open it in this thread, or with check_same_thread=False.",
        ) from error


def check_place(joint: Joint, address: Address) -> None:
    if address.file is None:  # in memory, and only the store itself opens that
        right = isinstance(joint, Native) and joint.is_lent_by(address)
    else:
        found = joint.one(_DATABASE, {})
        path = found[0] if found else ""
        right = bool(path) and os.path.exists(path) and os.path.samefile(path, address.file)  # noqa: PTH110, PTH121
    if not right:
        raise _another(address)


def _another(address: Address) -> WrongTransaction:
    return WrongTransaction(
        f"it is one of another database than the store at {address.url}",
        "Open the store in the database that your own tables are in (`store=`, EVENTBUS_STORE).",
    )
