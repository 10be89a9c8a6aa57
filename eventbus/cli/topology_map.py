"""Who publishes what to whom: read from services alone, without a broker.

What a handler publishes is what its return annotation says. Events that no handler returns, such as those of
a request handler or of another team, come from outside.
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from eventbus.annotations import as_written, name_of
from eventbus.event import Event
from eventbus.registry import Registry
from eventbus.service import Member, Service
from eventbus.topic import is_event_type, matches


@dataclass(frozen=True, slots=True)
class QueueOnMap:
    """A subscription: its queue, its handler, and what the handler publishes in turn."""

    member: Member
    publishes: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.member.queue

    @property
    def patterns(self) -> tuple[str, ...]:
        return self.member.subscription.patterns

    @property
    def handler(self) -> str:
        written = as_written(self.member.subscription.function)
        return f"{written.__module__}.{name_of(written)}"


@dataclass(frozen=True, slots=True)
class EventOnMap:
    """An event type; or a pattern that matches none that is known."""

    topic: str
    version: str | None
    """The newest that is known."""
    published_by: tuple[str, ...]
    """Queues whose handlers publish it; none: it comes from outside."""
    queues: tuple[QueueOnMap, ...]


@dataclass(frozen=True, slots=True)
class TopologyMap:
    exchange: str
    events: tuple[EventOnMap, ...]
    """Along the flow: what comes from outside first, then what is published because of it."""


def draw_map(exchange: str, services: Iterable[Service], known: Registry) -> TopologyMap:
    """`known`: event classes beside those of the services, by which patterns are told apart."""
    queues: list[QueueOnMap] = []
    registry = Registry()
    for service in services:
        registry.learn(service.events())
        for member in service:
            published = published_by(member.subscription.function)
            registry.learn(Registry(published))
            queues.append(QueueOnMap(member, tuple(event.__event_type__ for event in published)))
    registry.learn(known)
    events = [_event(topic, queues, registry) for topic in _topics(queues, registry)]
    return TopologyMap(exchange, tuple(_along_the_flow(events)))


def published_by(function: Callable[..., Any]) -> list[type[Event]]:
    """The event classes in the return annotation: alone, in a union, in a list, in an `Envelope`."""
    written = as_written(function)
    try:
        local: dict[str, Any] = {}
        if inspect.isfunction(written) and written.__closure__:
            local |= inspect.getclosurevars(written).nonlocals
        shell = types.FunctionType((lambda: None).__code__, getattr(written, "__globals__", {}))
        shell.__annotations__ = {"return": written.__annotations__.get("return")}
        hint = typing.get_type_hints(shell, localns=local)["return"]
    except Exception:  # noqa: BLE001  an annotation is somebody's code; one that cannot be read says nothing
        return []
    return list(dict.fromkeys(_classes(hint)))


def _classes(hint: Any) -> list[type[Event]]:
    if inspect.isclass(hint) and issubclass(hint, Event):
        return [hint] if hint.__event_type__ else []
    enveloped: dict[str, Any] = getattr(hint, "__pydantic_generic_metadata__", {})
    parts: list[Any] = [*get_args(hint), *enveloped.get("args", ())]
    return [event for part in parts for event in _classes(part)]


def _topics(queues: Sequence[QueueOnMap], registry: Registry) -> list[str]:
    """The event types that somebody here publishes or gets, and the patterns for which none is known."""
    patterns = {pattern for queue in queues for pattern in queue.patterns}
    topics = {event_type for queue in queues for event_type in queue.publishes}
    for pattern in patterns:
        met = {event_type for event_type in registry.types() if matches(pattern, event_type)}
        topics |= met or {pattern}
        topics |= {pattern} if is_event_type(pattern) else set()
    return sorted(topics)


def _event(topic: str, queues: Sequence[QueueOnMap], registry: Registry) -> EventOnMap:
    newest = registry.newest(topic)
    return EventOnMap(
        topic=topic,
        version=newest.__event_version__ if newest is not None else None,
        published_by=tuple(queue.name for queue in queues if topic in queue.publishes),
        queues=tuple(
            queue for queue in queues if any(p == topic or matches(p, topic) for p in queue.patterns)
        ),
    )


def _along_the_flow(events: Sequence[EventOnMap]) -> list[EventOnMap]:
    ordered = [event for event in events if not event.published_by]
    for event in ordered:  # grows while it is walked
        caused = {event_type for queue in event.queues for event_type in queue.publishes}
        ordered += [each for each in events if each.topic in caused and each not in ordered]
    return ordered + [event for event in events if event not in ordered]
