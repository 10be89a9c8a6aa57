"""A user's SQLAlchemy session or connection, synchronous or not, as something that runs our statements.

SQLAlchemy is imported only when the user has handed over an object of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from eventbus.store import WrongTransaction

if TYPE_CHECKING:
    from sqlalchemy import Connection

Answer = TypeVar("Answer")


class SessionJoint:
    """Statements have named parameters: `:name`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def run(self, statement: str, rows: Sequence[Mapping[str, Any]]) -> int:
        """How many rows it changed, where there is one set of parameters."""
        from sqlalchemy import text

        return self._connection.execute(text(statement), [dict(row) for row in rows]).rowcount

    def one(self, query: str, parameters: Mapping[str, Any]) -> Sequence[Any] | None:
        from sqlalchemy import text

        return self._connection.execute(text(query), dict(parameters)).first()

    def all(self, query: str, parameters: Mapping[str, Any]) -> Sequence[Sequence[Any]]:
        from sqlalchemy import text

        return self._connection.execute(text(query), dict(parameters)).all()


class UserSession:
    """A `Session`, `AsyncSession`, `Connection` or `AsyncConnection` that is in a transaction."""

    def __init__(self, given: Any, dialect: str) -> None:
        """Raises `WrongTransaction` for one that is not, or is one to another kind of database."""
        from sqlalchemy import Connection
        from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
        from sqlalchemy.orm import Session

        if not isinstance(given, (Session, AsyncSession, Connection, AsyncConnection)):
            raise WrongTransaction(
                f"{type(given).__name__} of SQLAlchemy is none that can be joined",
                "Give the Session, AsyncSession, Connection or AsyncConnection itself.",
            )
        if not given.in_transaction():
            raise WrongTransaction(
                "the SQLAlchemy session is in no transaction",
                "Use `with session.begin():`, or execute a statement before, and commit afterwards.",
            )
        bound = given.get_bind() if isinstance(given, (Session, AsyncSession)) else given
        if bound.dialect.name != dialect:
            raise WrongTransaction(
                f"the SQLAlchemy session is one to {bound.dialect.name}, and the store is {dialect}",
                "Give the session of the database that the store is in.",
            )
        self._given: Any = given
        self.driver: str = bound.dialect.driver
        self.needs_loop = isinstance(given, (AsyncSession, AsyncConnection))

    async def driver_connection(self) -> Any:
        """The driver's own, in the session's transaction, which begins with its first statement.

        Raises `WrongTransaction` for a session that is not asynchronous, or is in no transaction any more.
        """
        from sqlalchemy import text
        from sqlalchemy.ext.asyncio import AsyncSession

        if not self.needs_loop or not self._given.in_transaction():
            raise WrongTransaction(
                "the SQLAlchemy session is in no transaction, or is none of the event loop",
                "Give an AsyncSession or AsyncConnection inside of `async with session.begin():`.",
            )
        given = self._given
        connection = await given.connection() if isinstance(given, AsyncSession) else given
        await connection.execute(text("SELECT 1"))
        return (await connection.get_raw_connection()).driver_connection

    async def run(self, work: Callable[[SessionJoint], Answer]) -> Answer:
        if not self.needs_loop:
            return self.run_now(work)

        def on_its_greenlet(given: Any) -> Answer:
            return work(_joint(given))

        answer: Answer = await self._given.run_sync(on_its_greenlet)
        return answer

    def run_now(self, work: Callable[[SessionJoint], Answer]) -> Answer:
        if self.needs_loop:
            raise WrongTransaction(
                "an AsyncSession needs the event loop", "Use `await bus.publish(…, transaction=session)`."
            )
        return work(_joint(self._given))


def is_sqlalchemy(given: object) -> bool:
    """Without importing it."""
    return any(kind.__module__.partition(".")[0] == "sqlalchemy" for kind in type(given).__mro__)


def of_the_driver(raised: BaseException) -> BaseException:
    """The driver's own error: SQLAlchemy wraps it, twice where it adapts an asynchronous driver."""
    wrapped: BaseException | None = getattr(raised, "orig", None) if is_sqlalchemy(raised) else None
    return raised if wrapped is None else wrapped.__cause__ or wrapped


def _joint(given: Any) -> SessionJoint:
    from sqlalchemy.orm import Session

    return SessionJoint(given.connection() if isinstance(given, Session) else given)
