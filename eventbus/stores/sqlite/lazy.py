"""A connection that takes the write lock with its first statement, and leaves commit and close to the store.

SQLite has one writer: a handler that calls a slow service first and writes then keeps nobody waiting.
IMMEDIATE, for a transaction that reads first could not become a writer after another has written.

Threads that go on after a handler's timeout still have it, and may be in the middle of a statement. What they
begin after the transaction has ended is refused; what they have begun is part of it, and ends before it does.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager, suppress
from typing import Any, Final, NoReturn, Self

from eventbus.databases.sqlite.address import Address
from eventbus.databases.sqlite.database import patiently
from eventbus.databases.sqlite.migrations import split
from eventbus.store import WrongTransaction

_OF_THE_BUS: Final = frozenset({"isolation_level", "autocommit"})
"""Attributes of the driver's connection that say who begins and commits. To set them may commit at once."""


class LazyCursor(sqlite3.Cursor):
    def __init__(self, connection: LazyConnection, /) -> None:
        super().__init__(connection)
        self.row_factory = connection.row_factory
        self._lent = connection

    def execute(self, sql: str, parameters: Any = (), /) -> Self:
        with self._lent.statement():
            super().execute(sql, parameters)
        return self

    def executemany(self, sql: str, seq_of_parameters: Iterable[Any], /) -> Self:
        with self._lent.statement():
            super().executemany(sql, self._lent.while_lent(seq_of_parameters))
        return self

    def executescript(self, sql_script: str, /) -> Self:
        """The driver's own would commit first."""
        for statement in split(sql_script):
            self.execute(statement)
        return self

    def __next__(self) -> Any:
        with self._lent.turn:
            self._lent.check()
            return super().__next__()

    def fetchone(self) -> Any:
        with self._lent.turn:
            self._lent.check()
            return super().fetchone()

    def fetchmany(self, size: int | None = None) -> list[Any]:
        with self._lent.turn:
            self._lent.check()
            return super().fetchmany(self.arraysize if size is None else size)

    def fetchall(self) -> list[Any]:
        with self._lent.turn:
            self._lent.check()
            return super().fetchall()


class LazyConnection(sqlite3.Connection):
    is_lent = False
    """Whether a transaction of the bus goes on. Else nobody begins a statement, or waits for the lock."""
    address: Address | None = None
    """Of the store that lends it."""
    patience = 0.0
    """How long to wait for the lock, in seconds."""
    failure: sqlite3.Error | None = None
    """Of the statement that failed last; a handler may know others, of other files."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.turn: Final = threading.RLock()
        """Of whoever carries out a statement, or ends the transaction."""
        self._has_others = False
        super().__init__(*args, **kwargs)

    def __del__(self) -> None:
        """Of one that `give_up` has left open."""
        with suppress(sqlite3.Error):
            super().close()

    @contextmanager
    def statement(self) -> Generator[None]:
        """In one's turn, and in the transaction; raises `WrongTransaction`."""
        with self.turn:
            self.check()
            try:
                if not self.in_transaction:
                    patiently(self._try_to_begin, self.patience)
                yield
            except sqlite3.Error as error:
                self.failure = error
                raise

    def check(self) -> None:
        if not self.is_lent:
            raise WrongTransaction("it has ended", "Use the connection inside of the handler only.")

    def while_lent(self, rows: Iterable[Any]) -> Iterable[Any]:
        """To make one may take long: the transaction can end between them."""
        for row in rows:
            self.check()
            yield row

    def cursor(self, factory: Any = LazyCursor, /) -> Any:
        self.check()
        self._has_others |= factory is not LazyCursor
        return super().cursor(factory)

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        return LazyCursor(self).execute(sql, parameters)

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> sqlite3.Cursor:
        return LazyCursor(self).executemany(sql, parameters)

    def executescript(self, sql_script: str, /) -> sqlite3.Cursor:
        return LazyCursor(self).executescript(sql_script)

    def blobopen(self, *args: Any, **kwargs: Any) -> sqlite3.Blob:
        with self.statement():
            self._has_others = True
            return super().blobopen(*args, **kwargs)

    def __setattr__(self, name: str, value: object) -> None:
        if name in _OF_THE_BUS:
            self._refuse()
        super().__setattr__(name, value)

    def commit(self) -> NoReturn:
        self._refuse()

    def rollback(self) -> NoReturn:
        self._refuse()

    def close(self) -> NoReturn:
        self._refuse()

    def __enter__(self) -> NoReturn:
        self._refuse()

    def commit_lent(self, last: Callable[[sqlite3.Connection], None]) -> None:
        """`last` is written only where something was. Whoever is lent it next finds it as it was."""
        with self.turn:
            self.is_lent = False
            self.row_factory, self.text_factory = None, str
            if self.in_transaction:
                last(self)
                patiently(lambda: sqlite3.Cursor(self).execute("COMMIT"), self.patience)

    def give_up(self) -> None:
        """Roll back, and close it for good.

        The driver crashes when it is closed under a thread in it. Blobs and cursors of another class wait for
        no turn: where there are some it stays open until nobody has it any more.
        """
        with self.turn:
            try:
                if self.in_transaction:
                    sqlite3.Cursor(self).execute("ROLLBACK")
            finally:
                if not self._has_others:
                    super().close()

    def close_lent(self) -> None:
        super().close()

    def _try_to_begin(self) -> None:
        self.check()
        sqlite3.Cursor(self).execute("BEGIN IMMEDIATE")

    def _refuse(self) -> NoReturn:
        raise WrongTransaction(
            "its connection belongs to the bus, which commits, rolls back and closes it",
            "Return from the handler to commit, raise to roll back.",
        )
