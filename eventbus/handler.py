"""Runs one handler: fills its parameters, calls it, and takes the events that it returns."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, cast

from eventbus.annotations import is_async
from eventbus.context import Context
from eventbus.dependency import Lifetime, Needs, given
from eventbus.envelope import Envelope
from eventbus.errors import Unreadable
from eventbus.event import Event
from eventbus.outcome import Reason
from eventbus.registry import Registry
from eventbus.service import Member
from eventbus.threads import HandlerThreads, call_in


class Handler:
    """One subscription's function, ready to run."""

    def __init__(
        self, member: Member, registry: Registry, lifetime: Lifetime, threads: HandlerThreads
    ) -> None:
        self._parameter = member.signature.event
        self._plan = member.signature.plan
        self._asks = bool(self._plan.contexts or self._plan.transactions)
        self._batched = member.subscription.batch is not None
        self._function = member.subscription.function
        self._is_async = is_async(self._function)
        self._wants_data_only = self._is_async and not (
            self._batched or self._parameter.enveloped or self._plan.depends or self._asks
        )
        self._registry = registry
        self._lifetime = lifetime
        self._threads = threads

    @property
    def classes(self) -> Mapping[str, type[Event]]:
        """That the event may be of, by event type; empty where the annotation does not say."""
        return {} if self._parameter.as_dict else self._parameter.classes

    def read(self, envelope: Envelope[dict[str, Any]]) -> Envelope[Any]:
        """The envelope with the data as this handler wants it; raises `Unreadable`."""
        if self._parameter.as_dict:
            return envelope
        classes = self._parameter.classes
        if classes and envelope.event_type not in classes:
            wanted = ", ".join(sorted(classes))
            raise Unreadable(
                Reason.UNKNOWN_TYPE, f"{envelope.event_type} is none of what the handler takes: {wanted}"
            )
        return self._registry.upcast(envelope, classes.get(envelope.event_type))

    async def run(self, context: Context) -> None:
        """Call the function; what it returns joins `context.outgoing`."""
        if (result := await self.call(context)) is not None:
            self.take(result, context)

    def call(self, context: Context) -> Awaitable[object]:
        """What the function returns is for `take`, unless it is None."""
        if self._wants_data_only:  # as most do
            ran: Awaitable[object] = self._function(context.envelopes[0].__dict__["data"])
            return ran
        if self._batched:
            event: object = [each if self._parameter.enveloped else each.data for each in context.envelopes]
        else:
            envelope = context.envelopes[0]
            event = envelope if self._parameter.enveloped else envelope.data
        if self._plan.depends:
            return self._supplied(event, context)
        return self._call(event, given(self._plan, context) if self._asks else {})

    async def _supplied(self, event: object, context: Context) -> object:
        async with Needs(self._lifetime, context) as needs:
            return await self._call(event, await needs.fill(self._plan))

    def _call(self, event: object, keywords: dict[str, Any]) -> Awaitable[object]:
        if self._is_async:
            ran: Awaitable[object] = self._function(event, **keywords)
            return ran
        return call_in(self._threads, self._function, event, **keywords)

    @staticmethod
    def take(result: object, context: Context) -> None:
        """It joins `context.outgoing`, where it is an event or a list of them."""
        returned = cast("Sequence[object]", result) if isinstance(result, (list, tuple)) else [result]
        for each in returned:
            if isinstance(each, (Event, Envelope)):
                context.returned(cast("Event", each))
            elif each is not None:
                context.log.warning("handler.odd_return", returned=type(each).__qualname__)
