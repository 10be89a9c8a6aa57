"""A connection that takes the write lock with its first statement, and leaves commit and close to the store.

SQLite has one writer: a handler that calls a slow service first and writes then keeps nobody waiting.
IMMEDIATE, for a transaction that reads first could not become a writer after another has written.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Any, NoReturn, Self

from eventbus.databases.sqlite.address import Address
from eventbus.databases.sqlite.database import patiently
from eventbus.databases.sqlite.migrations import split
from eventbus.store import WrongTransaction


class LazyCursor(sqlite3.Cursor):
    def execute(self, sql: str, parameters: Any = (), /) -> Self:
        _begin(self.connection)
        super().execute(sql, parameters)
        return self

    def executemany(self, sql: str, seq_of_parameters: Iterable[Any], /) -> Self:
        _begin(self.connection)
        super().executemany(sql, seq_of_parameters)
        return self

    def executescript(self, sql_script: str, /) -> Self:
        """The driver's own would commit first."""
        for statement in split(sql_script):
            self.execute(statement)
        return self


class LazyConnection(sqlite3.Connection):
    is_lent = False
    """Whether a transaction of the bus goes on."""
    address: Address | None = None
    """Of the store that lends it."""
    patience = 0.0
    """How long to wait for the lock, in seconds."""

    def begin(self) -> None:
        if not self.is_lent:
            raise WrongTransaction("it has ended", "Use the connection inside of the handler only.")
        if not self.in_transaction:
            patiently(lambda: sqlite3.Cursor(self).execute("BEGIN IMMEDIATE"), self.patience)

    def cursor(self, factory: Any = LazyCursor, /) -> Any:
        return super().cursor(factory)

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        return LazyCursor(self).execute(sql, parameters)

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> sqlite3.Cursor:
        return LazyCursor(self).executemany(sql, parameters)

    def executescript(self, sql_script: str, /) -> sqlite3.Cursor:
        return LazyCursor(self).executescript(sql_script)

    def commit(self) -> NoReturn:
        self._refuse()

    def rollback(self) -> NoReturn:
        self._refuse()

    def close(self) -> NoReturn:
        self._refuse()

    def __enter__(self) -> NoReturn:
        self._refuse()

    def commit_lent(self) -> None:
        sqlite3.Cursor(self).execute("COMMIT")

    def roll_back_lent(self) -> None:
        if self.in_transaction:
            sqlite3.Cursor(self).execute("ROLLBACK")

    def close_lent(self) -> None:
        super().close()

    def _refuse(self) -> NoReturn:
        raise WrongTransaction(
            "its connection belongs to the bus, which commits, rolls back and closes it",
            "Return from the handler to commit, raise to roll back.",
        )


def _begin(connection: sqlite3.Connection) -> None:
    if isinstance(connection, LazyConnection):
        connection.begin()
