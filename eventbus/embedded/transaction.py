"""One transaction for everything that was submitted meanwhile; a bad operation fails alone.

An operation must have no effect but on the database and its `Transaction`: where a neighbour fails, the
transaction is rolled back and every operation runs a second time, with a savepoint around it.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from itertools import groupby
from operator import attrgetter
from typing import Any, Final, Generic, TypeVar

from eventbus.embedded.database import NO_CODE, Patience, patiently, primary_code

Answer = TypeVar("Answer")
Load = TypeVar("Load")

_PATIENCE_WHEN_CLOSING: Final = 0.5


@dataclass(slots=True)
class Changes:
    """What a transaction did that somebody may be waiting for."""

    ready: set[int] = field(default_factory=set[int])
    """Queues (their ids) that have got something to hand over."""
    logged: bool = False
    settled: bool = False
    due_at: int | None = None
    """The earliest due time among what was put off."""
    session_lost: bool = False
    """Another process took this one for dead: its consumers are to begin again."""
    untrimmed: bool = False
    """There is more old history to remove."""

    def __bool__(self) -> bool:
        told = self.ready or self.logged or self.settled or self.session_lost or self.untrimmed
        return bool(told) or self.due_at is not None

    def add(self, other: Changes) -> None:
        self.ready |= other.ready
        self.logged |= other.logged
        self.settled |= other.settled
        self.session_lost |= other.session_lost
        self.untrimmed |= other.untrimmed
        if other.due_at is not None:
            self.put_off(other.due_at)

    def put_off(self, due_at: int) -> None:
        self.due_at = due_at if self.due_at is None else min(self.due_at, due_at)


@dataclass(slots=True)
class Transaction:
    """What an operation works with."""

    connection: sqlite3.Connection
    changes: Changes = field(default_factory=Changes)
    topology_version: int | None = None
    """Read at most once: nobody else can change it while the transaction lasts."""


class WriteFailed(Exception):
    """SQLite did not take an operation. `unknown`: it may have taken it all the same."""

    def __init__(self, problem: str, *, code: int = NO_CODE, unknown: bool = False) -> None:
        self.problem = problem
        self.code = code
        self.unknown = unknown
        super().__init__(problem)


Together = Callable[[Transaction, Sequence[Load]], Sequence[Answer]]


class Stage(Enum):
    WAITING = auto()
    STARTED = auto()
    WITHDRAWN = auto()


class Operation(Generic[Answer]):
    """One unit of work for the writer. Await `future` for what it answers.

    `together`, where neighbours have the same, does their work at once: given their `load`s it answers in
    the same order.
    """

    __slots__ = ("durable", "future", "load", "rows", "run", "stage", "together")

    def __init__(
        self,
        run: Callable[[Transaction], Answer],
        future: asyncio.Future[Answer],
        *,
        durable: bool = False,
        rows: int = 1,
    ) -> None:
        self.run = run
        self.future = future
        self.durable = durable
        self.rows = rows
        self.stage = Stage.WAITING
        self.together: Together[Any, Answer] | None = None
        self.load: Any = None


def shared(
    together: Together[Load, Answer], load: Load, future: asyncio.Future[Answer], *, rows: int
) -> Operation[Answer]:
    """A durable operation whose work can be done at once with its neighbours'."""
    operation = Operation(
        lambda transaction: together(transaction, [load])[0], future, durable=True, rows=rows
    )
    operation.together = together
    operation.load = load
    return operation


@dataclass(frozen=True, slots=True)
class Ended:
    """How an operation ended: with an answer, or with an error."""

    operation: Operation[Any]
    answer: Any
    error: Exception | None = None


class GroupCommit:
    """Runs groups of operations on the writer's thread."""

    def __init__(self, connection: sqlite3.Connection, *, busy_timeout: float, synchronous: str) -> None:
        self._connection = connection
        self._patience = Patience(busy_timeout)
        self._synchronous = synchronous
        self._now_synchronous = ""
        self._lock = threading.Lock()

    def hurry(self) -> None:
        """From now on wait no longer than that for a locked file. Called from any thread."""
        self._patience.seconds = min(self._patience.seconds, _PATIENCE_WHEN_CLOSING)

    def withdraw(self, operation: Operation[Any]) -> bool:
        """Whether it certainly has not run, and will not. Called from any thread."""
        with self._lock:
            if operation.stage is Stage.STARTED:
                return False
            operation.stage = Stage.WITHDRAWN
            return True

    def execute(self, group: Sequence[Operation[Any]]) -> tuple[list[Ended], Changes]:
        """Never raises; every operation that was not withdrawn has ended."""
        try:
            return self._attempt(group)
        except Exception as error:  # noqa: BLE001  not even a rollback works: whoever waits must hear of it
            return _all_failed(self._started(group), error, unknown=True), Changes()

    def _attempt(self, group: Sequence[Operation[Any]]) -> tuple[list[Ended], Changes]:
        try:
            self._begin(durable=any(operation.durable for operation in group))
        except sqlite3.Error as error:
            return _all_failed(self._started(group), error), Changes()
        started = self._started(group)
        try:
            ended, changes = self._run_all(started)
        except Exception as error:  # noqa: BLE001  whatever an operation raises belongs to its future
            self._roll_back()
            return self._again(started, error)
        try:
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._roll_back()
            return self._uncommitted(started, error)
        return ended, changes

    def _begin(self, *, durable: bool) -> None:
        """Only what was promised to be durable waits for the disk, and takes along what came before."""
        synchronous = self._synchronous if durable else "normal"
        if synchronous != self._now_synchronous:
            self._connection.execute(f"PRAGMA synchronous = {synchronous}")
            self._now_synchronous = synchronous
        patiently(lambda: self._connection.execute("BEGIN IMMEDIATE"), self._patience)

    def _started(self, group: Sequence[Operation[Any]]) -> list[Operation[Any]]:
        with self._lock:
            started = [operation for operation in group if operation.stage is not Stage.WITHDRAWN]
            for operation in started:
                operation.stage = Stage.STARTED
        return started

    def _run_all(self, group: Sequence[Operation[Any]]) -> tuple[list[Ended], Changes]:
        transaction = Transaction(self._connection)
        ended: list[Ended] = []
        for together, neighbours in groupby(group, key=attrgetter("together")):
            operations = list(neighbours)
            if together is None:
                answers = [operation.run(transaction) for operation in operations]
            else:
                answers = together(transaction, [operation.load for operation in operations])
            ended += map(Ended, operations, answers)
        return ended, transaction.changes

    def _again(self, group: Sequence[Operation[Any]], error: Exception) -> tuple[list[Ended], Changes]:
        """After one of them failed: find out which, and let the others pass."""
        if len(group) == 1:
            return [Ended(group[0], None, _failure(error))], Changes()
        changes = Changes()
        try:
            self._begin(durable=any(operation.durable for operation in group))
        except sqlite3.Error as busy:
            return _all_failed(group, busy), changes
        try:
            ended = [self._run_guarded(operation, changes) for operation in group]
            self._connection.execute("COMMIT")
        except sqlite3.Error as broken:
            self._roll_back()
            return self._uncommitted(group, broken)
        return ended, changes

    def _run_guarded(self, operation: Operation[Any], changes: Changes) -> Ended:
        transaction = Transaction(self._connection)
        self._connection.execute("SAVEPOINT operation")
        try:
            answer = operation.run(transaction)
        except Exception as error:
            if isinstance(error, sqlite3.Error) and not self._connection.in_transaction:
                raise  # a full disk ends the whole transaction
            self._connection.execute("ROLLBACK TO operation")
            ended = Ended(operation, None, _failure(error))
        else:
            ended = Ended(operation, answer)
            changes.add(transaction.changes)
        self._connection.execute("RELEASE operation")
        return ended

    def _uncommitted(
        self, group: Sequence[Operation[Any]], error: sqlite3.Error
    ) -> tuple[list[Ended], Changes]:
        """A full disk may still have room for the smaller ones, one by one; after another error who knows."""
        if primary_code(error) != sqlite3.SQLITE_FULL or len(group) == 1:
            unknown = primary_code(error) != sqlite3.SQLITE_FULL
            return _all_failed(group, error, unknown=unknown), Changes()
        ended: list[Ended] = []
        changes = Changes()
        for operation in group:
            alone, its_changes = self.execute([operation])
            ended += alone
            changes.add(its_changes)
        return ended, changes

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")


def _all_failed(group: Sequence[Operation[Any]], error: Exception, *, unknown: bool = False) -> list[Ended]:
    return [Ended(operation, None, _failure(error, unknown=unknown)) for operation in group]


def _failure(error: Exception, *, unknown: bool = False) -> Exception:
    if not isinstance(error, sqlite3.Error):
        return error
    return WriteFailed(str(error), code=primary_code(error), unknown=unknown)
