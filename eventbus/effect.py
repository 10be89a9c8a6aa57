"""How a run of a handler becomes true: its own effect, and the events that it published."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Protocol

from eventbus.claims import Claims
from eventbus.context import Context
from eventbus.dependency import InTransaction
from eventbus.errors import EventBusError
from eventbus.handler import Handler
from eventbus.publisher import Publisher
from eventbus.store import InboxKey, Store


class Effect(Protocol):
    async def __call__(self, context: Context) -> None:
        """Returns when it is true; raises when none of it is, or nobody knows."""
        ...


class FirstHandled:
    """The handler runs, and what it published leaves after it: both before anything is acked."""

    def __init__(self, handler: Handler, publisher: Publisher) -> None:
        self._handler = handler
        self._publisher = publisher

    async def __call__(self, context: Context) -> None:
        if (result := await self._handler.call(context)) is not None:
            self._handler.take(result, context)
        if context.outgoing:
            await self._publisher.send(context.outgoing)


class Committed:
    """The handler runs in a transaction, and what it published and the mark in the inbox are part of it."""

    def __init__(
        self,
        handler: Handler,
        store: Store,
        claims: Claims | None,
        session: InTransaction | None,
        limit: Callable[[Awaitable[None]], Awaitable[None]],
    ) -> None:
        """`claims`: None where nothing is deduplicated. `session`: instead of the store's own transaction.

        `limit`: of the handler's time in the store's own, which it may have to wait for.
        """
        self._handler = handler
        self._store = store
        self._claims = claims
        self._session = session
        self._limit = limit

    async def __call__(self, context: Context) -> None:
        keys = [
            InboxKey(context.subscription, each.event_id, rerun)
            for each, rerun in zip(context.envelopes, context.reruns, strict=True)
        ]
        async with self._transaction() as transaction:
            context.transaction = transaction
            run = self._handler.run(context)
            await (run if self._session is not None else self._limit(run))
            joined = self._store.join(transaction)
            if context.outgoing:
                await joined.put(
                    [each.message for each in context.outgoing],
                    [each.key for each in context.outgoing],
                )
            if self._claims is not None and (lost := await joined.complete(keys)):
                raise ClaimLost(context.subscription, sorted(key.event_id for key in lost))
        if self._claims is not None:
            self._claims.finish(keys)

    @asynccontextmanager
    async def _transaction(self) -> AsyncGenerator[Any]:
        if self._session is None:
            async with self._store.transaction() as transaction:
                yield transaction
            return
        async with _begun(self._session, self._store) as session:
            yield session


@asynccontextmanager
async def _begun(asked: InTransaction, store: Store) -> AsyncGenerator[Any]:
    """A session in its transaction; raises `StoreUnavailable` where the database has gone from under it.

    Whose fault an error of the handler is, the connection knows: the handler may use other databases, and
    the network, which fail in the same words. What fails before or after it can only be ours.
    """
    of_the_handler: BaseException | None = None
    try:
        async with asked.make_session() as session, session.begin():
            connection = await session.connection()
            try:
                yield session
            except BaseException as raised:
                if not connection.invalidated:
                    of_the_handler = raised
                raise
    except EventBusError:
        raise
    except Exception as error:
        if error is not of_the_handler and (told := store.passing(error)) is not None:
            raise told from error
        raise


class ClaimLost(EventBusError):
    """Somebody else has the event by now, or has handled it: this transaction is rolled back.

    Another process, because this one gave no sign of life; or a transaction of this one's own, whose COMMIT
    was not answered in time, and which was carried out after all.
    """

    def __init__(self, subscription: str, event_ids: list[str]) -> None:
        self.subscription = subscription
        self.event_ids = event_ids
        super().__init__(
            f"{subscription}: another process has taken over {', '.join(event_ids)}, because this one gave "
            "no sign of life. Nothing was committed; the event is retried."
        )
