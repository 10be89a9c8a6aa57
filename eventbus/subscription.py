"""`@subscribe`: marks a function as the handler of some events, and changes nothing about it."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Generic, Literal, ParamSpec, TypeGuard, TypeVar, cast

from eventbus.errors import ConfigurationError, InvalidSubscription, shorten
from eventbus.event import Event
from eventbus.retry import RetryPolicy
from eventbus.topic import check_pattern

P = ParamSpec("P")
R = TypeVar("R")

OnReplay = Literal["run", "skip"]
Start = Literal["new", "beginning"] | datetime

NAME: Final = re.compile(r"[a-z_][a-z0-9_-]*", re.IGNORECASE | re.ASCII)
_OF_DEAD_LETTERS: Final = "dead"
"""Stands behind the name of a queue in that of its dead letters, and of no service's own queue."""

_EXAMPLE: Final = '@subscribe(OrderCreated) or @subscribe("order.*")'
_RIGHT_TOPICS: Final = f"Write {_EXAMPLE}"


@dataclass(frozen=True, slots=True)
class Batch:
    """Handle up to `size` events in one call, or what has come `within` seconds of the first.

    When a call fails, each of its events is tried again alone: one bad event takes no others along.
    """

    size: int = 100
    within: float = 1.0

    def __post_init__(self) -> None:
        if self.size < 1 or not self.within >= 0:
            raise ConfigurationError(f"{self}: size must be 1 or more, within 0 s or more.")


@dataclass(frozen=True, kw_only=True)
class Subscription(Generic[P, R]):
    """A handler, its topics, and how it is to be run. Calling it calls the function, as in a unit test."""

    function: Callable[P, R]
    topics: tuple[str | type[Event], ...]
    name: str
    retry: RetryPolicy
    timeout: float
    concurrency: int
    prefetch: int
    batch: Batch | None
    start: Start
    on_replay: OnReplay
    deduplicate: bool

    def __post_init__(self) -> None:
        for name in functools.WRAPPER_ASSIGNMENTS:
            if hasattr(self.function, name):
                object.__setattr__(self, name, getattr(self.function, name))
        object.__setattr__(self, "__wrapped__", self.function)
        self._check()

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self.function(*args, **kwargs)

    @property
    def patterns(self) -> tuple[str, ...]:
        """The binding patterns, each once."""
        named = (topic if isinstance(topic, str) else topic.__event_type__ for topic in self.topics)
        return tuple(dict.fromkeys(named))

    def _check(self) -> None:
        self._check_function()
        self._check_topics()
        if NAME.fullmatch(self.name) is None:
            raise self._wrong(
                "its name is part of a queue's name", "Give it one: name=… of letters, digits, '_' and '-'"
            )
        if self.name == _OF_DEAD_LETTERS:
            raise self._wrong("its queue's name would be that of dead letters", "Give it another: name=…")
        if not self.timeout > 0 or self.concurrency < 1 or self.prefetch < 1:
            raise self._wrong(
                "timeout (seconds), concurrency and prefetch must be above 0",
                "Leave them out for the defaults",
            )
        if self.batch is not None and self.prefetch < self.batch.size:
            raise self._wrong(
                f"with prefetch={self.prefetch} a batch of {self.batch.size} never gets full",
                "Leave prefetch out: it is two batches then",
            )
        self._check_start()

    def _check_start(self) -> None:
        start: object = self.start
        if isinstance(start, datetime):
            if start.utcoffset() is None:
                raise self._wrong(f"start={start} has no time zone", "Write datetime(…, tzinfo=UTC)")
        elif start not in ("new", "beginning"):
            raise self._wrong(f"start={start!r}", 'Use "new", "beginning", or a datetime with its time zone')
        if start != "new" and not self.deduplicate:
            raise self._wrong(
                "it is to start in the past, and what is published meanwhile comes from the history and from "
                "the queue",
                "Leave deduplicate=False out",
            )

    def _check_function(self) -> None:
        function: object = self.function
        if isinstance(function, Subscription):
            raise self._wrong("its function is marked already", "Instead, name all topics in one @subscribe")
        if not callable(function):
            raise self._wrong(f"{function!r} cannot be called", "Put @subscribe(…) above a function")

    def _check_topics(self) -> None:
        if not self.topics:
            raise self._wrong("it names no event", _RIGHT_TOPICS)
        for topic in cast("tuple[object, ...]", self.topics):
            if isinstance(topic, str):
                check_pattern(topic)
            elif not is_event_class(topic):
                raise self._wrong(f"{shorten(repr(topic))} is no topic", _RIGHT_TOPICS)
            elif not topic.__event_type__:
                raise self._wrong(
                    f"{topic.__qualname__} has no event type",
                    f'Declare it as class X(Event, type="order.created"), or write {_EXAMPLE}',
                )

    def _wrong(self, problem: str, remedy: str) -> InvalidSubscription:
        return InvalidSubscription(self.name, problem, remedy)


def is_event_class(value: object) -> TypeGuard[type[Event]]:
    return isinstance(value, type) and issubclass(value, Event)


def subscribe(  # noqa: PLR0913 -- the public signature: every one has a default
    *topics: str | type[Event],
    name: str | None = None,
    retry: RetryPolicy | None = None,
    timeout: float = 30.0,
    concurrency: int = 20,
    prefetch: int | None = None,
    batch: Batch | None = None,
    start: Start = "new",
    on_replay: OnReplay = "run",
    deduplicate: bool = True,
) -> Callable[[Callable[P, R]], Subscription[P, R]]:
    """Mark a function as the handler of `topics`: event classes, event types, or patterns (`order.*`).

    `name` (default: the function's) makes the queue `<service>.<name>`. `timeout` bounds one run, in seconds.
    `concurrency` events are handled side by side in one process; `prefetch` (default: twice that, or two
    batches) are handed over in advance. Errors go by `retry`. With `batch` the handler takes a list.
    `start`: "new", or what a subscription that is new handles first: all history from its "beginning", or
    what happened since a time. New is what the store knows nothing of; what has been running is not.
    `on_replay="skip"`: events that come from a replay are passed over, also where they would repair a gap.
    `deduplicate`: what this subscription has handled before is acked and not handled again; see
    `Settings.store` for where that is remembered.
    """

    first: object = topics[0] if topics else None
    if inspect.isroutine(first):
        raise InvalidSubscription(first.__name__, "@subscribe has no parentheses", _RIGHT_TOPICS)

    def mark(function: Callable[P, R]) -> Subscription[P, R]:
        return Subscription(
            function=function,
            topics=topics,
            name=getattr(function, "__name__", "") if name is None else name,
            retry=retry or RetryPolicy(),
            timeout=timeout,
            concurrency=concurrency,
            prefetch=2 * (concurrency if batch is None else batch.size) if prefetch is None else prefetch,
            batch=batch,
            start=start,
            on_replay=on_replay,
            deduplicate=deduplicate,
        )

    return mark


AnySubscription = Subscription[Any, Any]
