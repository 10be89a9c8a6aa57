"""Makes the pipeline of each subscription: what is let through to its handler, and how a run becomes true."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from eventbus.claims import Claims
from eventbus.codec import Codec
from eventbus.dependency import InTransaction
from eventbus.effect import Committed, Effect, FirstHandled
from eventbus.errors import InvalidSubscription
from eventbus.handler import Handler
from eventbus.middleware import DEFAULT, Middleware
from eventbus.middleware.timeout import limit_of
from eventbus.once import Admission, Everything, Once
from eventbus.pipeline import Pipeline
from eventbus.publisher import Publisher
from eventbus.service import Member
from eventbus.store import Store

_REMEDY: Final = "Use a store with transactions: EVENTBUS_STORE=sqlite:///eventbus.db, or Bus(…, store=…)"


@dataclass(frozen=True, slots=True)
class ServiceStore:
    """The open store of what a bus runs, and what this process claims in its inbox."""

    store: Store
    claims: Claims


class Pipelines:
    """`shared`: None where no subscription is deduplicated or asks for a transaction."""

    def __init__(
        self,
        publisher: Publisher,
        codec: Codec,
        shared: ServiceStore | None = None,
        middleware: Sequence[Middleware] = DEFAULT,
    ) -> None:
        self._publisher = publisher
        self._codec = codec
        self._shared = shared
        self._middleware = middleware

    def make(self, member: Member, handler: Handler) -> Pipeline:
        """Raises `InvalidSubscription` for a handler that asks for a transaction where there is none."""
        publisher = self._publisher.speaking_for(member.service)
        return Pipeline(
            member,
            handler,
            self._effect(member, handler, publisher),
            admission=self._admission(member),
            codec=self._codec,
            publisher=publisher,
            middleware=self._middleware,
        )

    def _admission(self, member: Member) -> Admission:
        if self._shared is None or not member.subscription.deduplicate:
            return Everything()
        return Once(self._shared.claims, member.queue)

    def _effect(self, member: Member, handler: Handler, publisher: Publisher) -> Effect:
        transaction = member.signature.transaction
        if transaction is None:
            return FirstHandled(handler, publisher)
        if self._shared is None or self._shared.store.outbox is None:
            where = self._shared.store.url if self._shared is not None else "none"
            problem = f"it asks for a transaction, and the store ({where}) has none"
            raise InvalidSubscription(member.queue, problem, _REMEDY)
        return Committed(
            handler,
            self._shared.store,
            self._shared.claims if member.subscription.deduplicate else None,
            transaction if isinstance(transaction, InTransaction) else None,
            limit_of(member),
        )


def needs_store(member: Member) -> bool:
    return member.subscription.deduplicate or member.signature.transaction is not None
