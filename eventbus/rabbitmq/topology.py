"""Every derived name and every declaration, as data. Nothing else decides a name.

Delays: 28 levels. Level n is a topic exchange and a queue in which messages live 2ⁿ seconds; then they
fall to the exchange one level down. A routing key begins with the 28 bits of the delay, highest first: each
exchange sees whether its queue is due (`1`) or the next level down (`0`). Any whole number of seconds up to
2²⁸-1 is a sum of such stays, with no plugin and nothing blocking anything. What is due and has no queue any
more goes to a queue for all of that: left where it is, it would hold up what is due for others.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from types import MappingProxyType
from typing import Final, Literal, NamedTuple

from eventbus.errors import InvalidEvent
from eventbus.rabbitmq.options import RabbitMQOptions
from eventbus.transport import Message, Topology

LEVELS: Final = 28
MAX_DELAY: Final = 2**LEVELS - 1
"""Seconds; eight and a half years."""
_BITS_LENGTH: Final = 2 * LEVELS
"""Of the prefix of a delayed routing key: a digit and a dot for each level."""
_ANY_BITS: Final = "*." * LEVELS

_DEAD_SUFFIX: Final = ".dead"

Arguments = Mapping[str, str | int]


@dataclass(frozen=True, slots=True)
class Exchange:
    name: str
    type: Literal["topic", "direct"]
    otherwise: str | None = None
    """The exchange that takes what no binding of this one takes."""

    @property
    def arguments(self) -> Arguments:
        return {} if self.otherwise is None else {"alternate-exchange": self.otherwise}


@dataclass(frozen=True, slots=True)
class Queue:
    name: str
    arguments: Arguments


@dataclass(frozen=True, slots=True)
class Binding:
    source: str
    routing_key: str
    destination: str
    to: Literal["queue", "exchange"] = "queue"


@dataclass(frozen=True, slots=True)
class Plan:
    """What to declare, targets before sources: no moment exists in which something falls into nothing."""

    exchanges: tuple[Exchange, ...]
    queues: tuple[Queue, ...]
    bindings: tuple[Binding, ...]


class Route(NamedTuple):
    """Where a message enters the broker. `mandatory`: the broker must say when no queue took it."""

    exchange: str
    routing_key: str
    mandatory: bool


class Names:
    """All names of one namespace."""

    def __init__(self, namespace: str) -> None:
        self.events = namespace
        self.redeliver = f"{namespace}.redeliver"
        self.dead = f"{namespace}.dead"
        self.log = f"{namespace}.log"
        self.delays = f"{namespace}.delay."
        """What the names of all exchanges and queues of the delay network begin with."""
        self.due = f"{self.delays}deliver"
        self.undelivered = f"{namespace}.undelivered"
        """Where that goes which is due and has no queue any more; it lies in the dead queue of this name."""
        self._levels = tuple(f"{self.delays}{level:02d}" for level in range(LEVELS))

    def delay(self, level: int) -> str:
        """The exchange, and the queue, in which messages stay 2^level seconds."""
        return self._levels[level]

    def below(self, level: int) -> str:
        """Where messages go after, or instead of, their stay at a level."""
        return self._levels[level - 1] if level else self.due

    def dead_queue(self, queue: str) -> str:
        return f"{queue}{_DEAD_SUFFIX}"

    def is_dead_queue(self, queue: str) -> bool:
        return queue.endswith(_DEAD_SUFFIX)

    def route(self, message: Message) -> Route:
        """Raises `InvalidEvent` for a delay that the network cannot keep."""
        if message.delay > 0:
            target = f"event.{message.routing_key}" if message.queue is None else f"queue.{message.queue}"
            return self._delayed(message.delay, target)
        if message.queue is None or message.queue == self.undelivered:
            return _event_route(self.events, message.routing_key)
        if self.is_dead_queue(message.queue):
            return self.dead_letter_route(message.queue.removesuffix(_DEAD_SUFFIX))
        return Route(self.redeliver, message.queue, mandatory=True)

    def dead_letter_route(self, queue: str) -> Route:
        return Route(self.dead, queue, mandatory=True)

    def _delayed(self, delay: float, target: str) -> Route:
        if not delay <= MAX_DELAY:
            raise InvalidEvent("delay", f"must be at most {MAX_DELAY} seconds", delay)
        seconds = math.ceil(delay)
        return Route(self.delay(seconds.bit_length() - 1), bits(seconds) + target, mandatory=True)

    def undelayed(self, exchange: str, routing_key: str) -> tuple[str, str] | None:
        """What a routing key of the delay network leads to: ("event", its type) or ("queue", its name)."""
        if not exchange.startswith(self.delays):
            return None
        kind, _, name = routing_key[_BITS_LENGTH:].partition(".")
        return kind, name


@lru_cache(maxsize=1024)
def _event_route(exchange: str, event_type: str) -> Route:
    return Route(exchange, event_type, mandatory=False)


def bits(seconds: int) -> str:
    """The prefix of a delayed routing key: the 28 bits, each followed by a dot."""
    return ".".join(f"{seconds:0{LEVELS}b}") + "."


def plan(names: Names, topology: Topology, options: RabbitMQOptions) -> Plan:
    """All that a topology needs: what the namespace always has, and the queues of the subscriptions."""
    levels = range(LEVELS)
    queues = topology.queues
    return Plan(
        exchanges=(
            Exchange(names.dead, "direct"),
            Exchange(names.redeliver, "direct"),
            Exchange(names.undelivered, "topic"),
            Exchange(names.due, "topic", otherwise=names.undelivered),
            *(Exchange(names.delay(level), "topic") for level in levels),
            Exchange(names.events, "topic"),
        ),
        queues=(
            Queue(names.log, _log_arguments(options)),
            Queue(names.dead_queue(names.undelivered), _DEAD_QUEUE_ARGUMENTS),
            *(Queue(names.dead_queue(queue.name), _DEAD_QUEUE_ARGUMENTS) for queue in queues),
            *(Queue(queue.name, _queue_arguments(names, queue.name, options)) for queue in queues),
            *(Queue(names.delay(level), _delay_arguments(names, level)) for level in levels),
        ),
        bindings=tuple(_bindings(names, topology)),
    )


def _bindings(names: Names, topology: Topology) -> Iterator[Binding]:
    for queue in topology.queues:
        yield Binding(names.dead, queue.name, names.dead_queue(queue.name))
        yield Binding(names.redeliver, queue.name, queue.name)
        yield Binding(names.due, f"{_ANY_BITS}queue.{queue.name}", queue.name)
    yield Binding(names.undelivered, "#", names.dead_queue(names.undelivered))
    yield Binding(names.due, f"{_ANY_BITS}event.#", names.log)
    yield Binding(names.redeliver, names.log, names.log)
    for queue in topology.queues:
        for pattern in queue.patterns:
            yield Binding(names.due, f"{_ANY_BITS}event.{pattern}", queue.name)
    for level in range(LEVELS):
        above = "*." * (LEVELS - 1 - level)
        yield Binding(names.delay(level), f"{above}1.#", names.delay(level))
        yield Binding(names.delay(level), f"{above}0.#", names.below(level), to="exchange")
    yield Binding(names.events, "#", names.log)
    for queue in topology.queues:
        for pattern in queue.patterns:
            yield Binding(names.events, pattern, queue.name)


# Dead-lettering loses nothing only with all three of these: any other overflow than reject-publish makes it
# at-most-once, and nobody is told.
_NEVER_LOSING: Final = MappingProxyType(
    {
        "x-queue-type": "quorum",
        "x-overflow": "reject-publish",
        "x-dead-letter-strategy": "at-least-once",
    }
)
_DEAD_QUEUE_ARGUMENTS: Final[Arguments] = MappingProxyType(
    {
        "x-queue-type": "quorum",
        "x-overflow": "reject-publish",
        # Looking at dead letters hands them over and takes them back; that must never use a limit up.
        "x-delivery-limit": 1_000_000,
    }
)


def _queue_arguments(names: Names, queue: str, options: RabbitMQOptions) -> Arguments:
    return {
        **_NEVER_LOSING,
        "x-dead-letter-exchange": names.dead,
        "x-dead-letter-routing-key": queue,
        "x-delivery-limit": options.delivery_limit,
    }


def is_of_another_namespace(problem: str) -> bool:
    """Whether a queue that is there, and differs so, seems to be. It is what the broker compares first."""
    return "x-dead-letter-exchange" in problem


def _delay_arguments(names: Names, level: int) -> Arguments:
    return {**_NEVER_LOSING, "x-dead-letter-exchange": names.below(level), "x-message-ttl": 2**level * 1000}


_SEGMENTS: Final = 10
"""At least so many make up a full history: retention removes whole segments, and never the newest."""
_SMALLEST_SEGMENT: Final = 64 * 1024
_USUAL_SEGMENT: Final = 500_000_000
"""Bytes; the broker's own default."""


def _log_arguments(options: RabbitMQOptions) -> Arguments:
    arguments: dict[str, str | int] = {
        "x-queue-type": "stream",
        "x-max-age": _max_age(options.log_max_age),
        "x-max-length-bytes": options.log_max_bytes,
    }
    segment = max(_SMALLEST_SEGMENT, options.log_max_bytes // _SEGMENTS)
    return (
        arguments if segment >= _USUAL_SEGMENT else arguments | {"x-stream-max-segment-size-bytes": segment}
    )


def _max_age(age: timedelta) -> str:
    """As RabbitMQ writes it. One way of writing each: another one would be a changed argument."""
    seconds = math.ceil(age.total_seconds())
    return f"{seconds // 86_400}D" if seconds % 86_400 == 0 else f"{seconds}s"
