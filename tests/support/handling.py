"""Everything around one handler, made in one line: its envelope, its delivery, its context, its pipeline."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from eventbus import Context, Envelope, Event, Service, Subscription
from eventbus.codec import Codec
from eventbus.dependency import Lifetime, SharedLifetime
from eventbus.effect import FirstHandled
from eventbus.envelope import envelope_from
from eventbus.handler import Handler
from eventbus.headers import ATTEMPT
from eventbus.logs import get_logger
from eventbus.middleware import DEFAULT, Middleware
from eventbus.once import Admission, Everything
from eventbus.outcome import Outcome
from eventbus.pipeline import Pipeline
from eventbus.publisher import Publisher
from eventbus.registry import Registry
from eventbus.service import Member
from eventbus.testing import VirtualClock
from eventbus.threads import HandlerThreads
from eventbus.transport import Delivery
from tests.support.scripted import ScriptedTransport

NOON: Final = datetime(2025, 2, 15, 12, tzinfo=UTC)


def wrapped(event: Event, **members: Any) -> Envelope[Any]:
    """The envelope of an event, with an id of its own."""
    return Envelope.wrap(event, **{"event_id": f"evt_{uuid.uuid4().hex}", "timestamp": NOON, **members})


def by_name(event_type: str, data: Mapping[str, Any], **members: Any) -> Envelope[Any]:
    return envelope_from(
        {
            "event_id": f"evt_{uuid.uuid4().hex}",
            "event_type": event_type,
            "timestamp": NOON,
            "version": "1.0",
            "data": data,
            **members,
        }
    )


def delivered(
    event: Event | Envelope[Any],
    *,
    attempt: int = 1,
    headers: Mapping[str, object] | None = None,
    **changes: Any,
) -> Delivery:
    """One hand-over of it; `changes` are those of a message that somebody else has made."""
    message = Codec().encode(event if isinstance(event, Envelope) else wrapped(event))
    message = replace(message, headers={**(headers or {}), ATTEMPT: attempt}, **changes)
    return Delivery(message, "shop.handler", attempt, redelivered=False, tag=object())


def a_publisher(
    transport: ScriptedTransport,
    *,
    events: Sequence[type[Event]] = (),
    closed: bool = False,
    timeout: float = 10.0,
) -> Publisher:
    return Publisher(
        transport.as_transport(),
        source="shop",
        codec=Codec(),
        registry=Registry(events, closed=closed),
        clock=VirtualClock(NOON),
        timeout=timeout,
    )


def a_context(
    *envelopes: Envelope[Any], attempt: int = 1, replay: str | None = None, reruns: tuple[str, ...] = ()
) -> Context:
    return Context(
        "shop.handler",
        envelopes,
        attempt=attempt,
        replay=replay,
        reruns=reruns or ("",) * len(envelopes),
        prepare=a_publisher(ScriptedTransport()).prepare,
        log=lambda _: get_logger("eventbus.tests"),
    )


def member_of(subscription: Subscription[..., Any]) -> Member:
    """The subscription in a service named shop."""
    return Service("shop", [subscription]).members[0]


class Bench:
    """One subscription with all that is around it, but for a broker."""

    def __init__(
        self,
        subscription: Subscription[..., Any],
        *,
        middleware: Sequence[Middleware] = DEFAULT,
        lifetime: Lifetime | None = None,
        admission: Admission | None = None,
        most: int = 4,
    ) -> None:
        """`most`: threads."""
        self.transport = ScriptedTransport()
        self.lifetime = lifetime or SharedLifetime()
        self.member = member_of(subscription)
        self.threads = HandlerThreads(most, "shop.handler")
        self.handler = Handler(
            self.member, Service("shop", [subscription]).events(), self.lifetime, self.threads
        )
        publisher = a_publisher(self.transport)
        self.pipeline = Pipeline(
            self.member,
            self.handler,
            FirstHandled(self.handler, publisher),
            admission=admission or Everything(),
            codec=Codec(),
            publisher=publisher,
            middleware=middleware,
        )

    async def process(self, *deliveries: Delivery) -> list[Outcome]:
        """How each of them ends, in the order given."""
        admitted = await self.pipeline.admit(deliveries)
        ended = [*admitted.ended, *await self.pipeline.handle(admitted.ready)]
        outcomes = {id(delivery): outcome for delivery, outcome, _ in ended}
        assert len(ended) == len(outcomes) == len(deliveries)
        return [outcomes[id(delivery)] for delivery in deliveries]

    async def outcome(self, event: Event | Envelope[Any] | Delivery) -> Outcome:
        delivery = event if isinstance(event, Delivery) else delivered(event)
        (outcome,) = await self.process(delivery)
        return outcome

    @property
    def published(self) -> list[Envelope[Any]]:
        return [Codec().decode(message) for message in self.transport.sent]
