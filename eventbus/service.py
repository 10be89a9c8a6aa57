"""A service: a name and its subscriptions, deployed together."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

from eventbus.annotations import as_written
from eventbus.errors import ConfigurationError, InvalidSubscription
from eventbus.event import Event
from eventbus.registry import Registry
from eventbus.signature import Signature, read_signature
from eventbus.subscription import NAME, AnySubscription, Subscription
from eventbus.topic import MAX_TYPE_BYTES, matches
from eventbus.transport import QueueSpec, Topology


@dataclass(frozen=True, slots=True)
class Member:
    """One subscription as part of its service: its queue, and its handler's signature, compiled."""

    service: str
    subscription: AnySubscription
    signature: Signature

    @property
    def queue(self) -> str:
        """`<service>.<handler>`: the queue, and the name by which operators know the subscription."""
        return f"{self.service}.{self.subscription.name}"

    @property
    def spec(self) -> QueueSpec:
        """What its queue has to be."""
        return QueueSpec(self.queue, self.subscription.patterns)

    def subscribes_to(self, event_type: str) -> bool:
        return any(matches(pattern, event_type) for pattern in self.subscription.patterns)


class Service:
    """`Service("payment", [charge_order, audit])`: each subscription with a queue of its own.

    Raises `InvalidSubscription` for a handler whose signature cannot work, before anything is connected.
    """

    def __init__(self, name: str, subscriptions: Iterable[Subscription[..., Any]]) -> None:
        if NAME.fullmatch(name) is None:
            raise ConfigurationError(
                f"service {name!r}: use letters, digits, '_' and '-', and begin with a letter."
            )
        self.name = name
        self.members = tuple(self._member(subscription) for subscription in subscriptions)
        self._check_names()

    def __repr__(self) -> str:
        return f"Service({self.name!r}, [{', '.join(m.subscription.name for m in self.members)}])"

    def __iter__(self) -> Iterator[Member]:
        return iter(self.members)

    @property
    def topology(self) -> Topology:
        return Topology(tuple(member.spec for member in self.members))

    def check_namespace(self, namespace: str) -> None:
        """Raises `ConfigurationError` where its queues would have the names of eventbus itself."""
        if self.name == namespace:
            raise ConfigurationError(
                f"service {self.name!r} has the name of the namespace, "
                "and its queues those of eventbus itself: rename one of them."
            )

    def events(self) -> Registry:
        """The event classes that this service can see: its topics', its annotations', and their modules'."""
        seen = Registry()
        for member in self.members:
            for event in self._named(member):
                seen.add(event)
                if (module := sys.modules.get(event.__module__)) is not None:
                    seen.collect(vars(module))
            seen.collect(getattr(as_written(member.subscription.function), "__globals__", {}))
        return seen

    def _member(self, given: object) -> Member:
        if not _is_subscription(given):
            raise ConfigurationError(
                f"service {self.name!r}: {given!r} is no subscription. "
                "Decorate the function with @subscribe(…) and list it here."
            )
        subscription = given
        queue = f"{self.name}.{subscription.name}"
        if len(queue) > MAX_TYPE_BYTES:
            raise InvalidSubscription(
                queue,
                f"its queue's name has {len(queue)} bytes, {MAX_TYPE_BYTES} are allowed",
                "Shorten name=…",
            )
        signature = read_signature(
            queue, subscription.function, subscription.topics, batched=subscription.batch is not None
        )
        return Member(self.name, subscription, signature)

    def _check_names(self) -> None:
        names = [member.subscription.name for member in self.members]
        for name in names:
            if names.count(name) > 1:
                raise InvalidSubscription(
                    f"{self.name}.{name}", "two subscriptions have this name", "Give one of them name=…"
                )

    @staticmethod
    def _named(member: Member) -> list[type[Event]]:
        topics = [topic for topic in member.subscription.topics if isinstance(topic, type)]
        return [*topics, *member.signature.event.classes.values()]


def check_queues(services: Sequence[Service]) -> None:
    """Raises `ConfigurationError` where two services would take from one queue, each the other's events."""
    owners: dict[str, Service] = {}
    for service in services:
        for member in service:
            if owners.setdefault(member.queue, service) is not service:
                raise ConfigurationError(
                    f"two services called {service.name!r} have a subscription {member.subscription.name!r}: "
                    "each would take the other's events. Rename one of them."
                )


def topology(services: Iterable[Service]) -> Topology:
    """The queues of several services together."""
    return Topology(tuple(queue for service in services for queue in service.topology.queues))


def _is_subscription(given: object) -> TypeGuard[AnySubscription]:
    return isinstance(given, Subscription)
