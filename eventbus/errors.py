"""Every error of eventbus: one tree, the evidence as attributes, and what to do next in the message."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Any, ClassVar


class EventBusError(Exception):
    """The root: `except EventBusError` catches all that eventbus raises on purpose."""

    def __reduce__(self) -> tuple[Any, ...]:
        """As it is, with its evidence: a handler may raise it in a process pool."""
        return _rebuilt, (type(self), self.args, vars(self))


def _rebuilt(
    kind: type[EventBusError], args: tuple[object, ...], evidence: dict[str, object]
) -> EventBusError:
    error = kind.__new__(kind)
    error.args = args
    vars(error).update(evidence)
    return error


# --- configuration and wiring: seen when a program starts -------------------------------------------------


class ConfigurationError(EventBusError):
    """A setting, a URL or a target that cannot work; the message names it and shows a right one."""


class InvalidSubscription(ConfigurationError):
    """A `@subscribe` or a handler's signature cannot work; seen when the service is assembled."""

    def __init__(self, subscription: str, problem: str, remedy: str) -> None:
        self.subscription = subscription
        self.problem = problem
        self.remedy = remedy
        super().__init__(f"subscription {subscription!r}: {problem}. {remedy}")


class DuplicateEvent(ConfigurationError):
    """Two classes claim the same event type and version."""

    def __init__(self, event_type: str, version: str, first: str, second: str) -> None:
        self.event_type, self.version, self.first, self.second = event_type, version, first, second
        super().__init__(
            f"{first} and {second} both claim {event_type} version {version}. "
            "Raise the version of the newer one, or remove one of them."
        )


# --- publishing: nothing of these has left the process, unless it says so ----------------------------------


class InvalidEvent(EventBusError, ValueError):
    """What was to be published breaks a rule. No byte of it was sent.

    `field` names the member or header, `problem` the rule with its limit, `value` what was given (shortened).
    """

    def __init__(
        self, field: str, problem: str, value: object = None, *, event_type: str | None = None
    ) -> None:
        self.field = field
        self.problem = problem
        self.value = value
        self.event_type = event_type
        self.published = 0
        """How many events of the same `publish_many` were published before, in pieces of ten thousand."""
        super().__init__(self._told("Nothing was sent: correct it and publish again."))

    @property
    def sent(self) -> bool | None:
        """False where nothing of the call was sent; None where `published` events of it were."""
        return None if self.published else False

    def concern(self, *, before: int) -> None:
        """Speak of all events of a call, of which so many were published before."""
        self.published = before
        advice = f"The first {before} events were published: correct it and publish those behind them."
        self.args = (self._told(advice),)

    def _told(self, advice: str) -> str:
        of = f" of {self.event_type}" if self.event_type else ""
        shown = "" if self.value is None else f" (got {shorten(repr(self.value))})"
        return f"{self.field}{of} {self.problem}{shown}. {advice}"


class UnregisteredEvent(InvalidEvent):
    """No class describes this event type or this version of it."""


class SendFate(StrEnum):
    """What is known of one message after a failed send."""

    CONFIRMED = "confirmed"
    """By the broker, or taken by the function `on_unavailable` instead: not to be published again."""
    NOT_SENT = "not sent"
    UNKNOWN = "unknown"


class SendFailed(EventBusError):
    """The broker did not take every message; `fates` says what is known of each, in the order given.

    `sent` is False where certainly nothing reached the broker, None where that is unknown. Publishing again
    under the same `event_id` is always right: subscriptions drop the copy.
    """

    _until: ClassVar = "the broker is back"

    def __init__(self, problem: str, fates: Sequence[SendFate]) -> None:
        self.problem = problem
        self.fates = tuple(fates)
        super().__init__(f"{problem}. {self._advice()}")

    def concern(self, *, before: int, this: int, total: int) -> None:
        """Speak of all events of a call, where it was `this` many, behind so many that were taken."""
        fates = self.fates or (SendFate.NOT_SENT,) * this
        after = max(0, total - before - len(fates))
        self.fates = (SendFate.CONFIRMED,) * before + fates + (SendFate.NOT_SENT,) * after
        if before:
            self.problem = f"behind the first {before} events of the call: {self.problem}"
        self.args = (f"{self.problem}. {self._advice()}",)

    def know(self, fates: Sequence[SendFate], problem: str) -> None:
        """Tell what has become of each since it was raised, and what went wrong as well."""
        self.fates = tuple(fates)
        self.problem = f"{self.problem}; {problem}"
        self.args = (f"{self.problem}. {self._advice()}",)

    @property
    def sent(self) -> bool | None:
        return False if all(fate is SendFate.NOT_SENT for fate in self.fates) else None

    def _advice(self) -> str:
        confirmed = self.fates.count(SendFate.CONFIRMED)
        if self.sent is False:
            return f"Nothing was sent: publish again when {self._until}."
        return (
            f"{confirmed} of {len(self.fates)} are confirmed, the rest may or may not have arrived: "
            "publish those again under the same event_id."
        )


class PublishTimeout(SendFailed, TimeoutError):
    """The broker did not confirm in time."""


class PublishRefused(SendFailed):
    """The broker answered, and said no: a full queue, a missing exchange, a missing permission."""

    _until: ClassVar = "that is mended"


class QueueMissing(PublishRefused):
    """A message was for the queue of one subscription alone, and that is not there."""

    def _advice(self) -> str:
        return (
            "That queue is not there: start its worker, which declares it, or run `eventbus topology apply` "
            "for its service, and try again."
        )


class BrokerUnreachable(SendFailed):
    """No connection to the broker."""

    def __init__(self, url: str, problem: str, fates: Sequence[SendFate] = ()) -> None:
        self.url = url
        super().__init__(f"cannot reach the broker at {url}: {problem}", fates)


class SpoolFull(SendFailed):
    """The broker is away, and the spool takes no more: at its bounds, on a full disk, or broken."""


# --- consuming: why a delivery cannot be handled -----------------------------------------------------------


class Unreadable(EventBusError):
    """A message that no retry makes readable; it becomes a dead letter with `reason`."""

    def __init__(self, reason: str, problem: str) -> None:
        self.reason = reason
        self.problem = problem
        super().__init__(problem)


class HandlerTimeout(EventBusError, TimeoutError):
    """A handler ran longer than its subscription allows (seconds); `retry_on=(TimeoutError,)` covers it.

    `waited_for`: the factory of the dependency that it was still waiting for, if it was.
    """

    def __init__(self, subscription: str, timeout: float, waited_for: str = "") -> None:
        self.subscription = subscription
        self.timeout = timeout
        self.waited_for = waited_for
        waiting = f": it was waiting for what {waited_for} makes" if waited_for else ""
        super().__init__(
            f"{subscription} did not finish within {timeout:g} s{waiting}. "
            "Raise @subscribe(timeout=…) or make the handler faster; the event is retried by its policy."
        )


class RetryLater(EventBusError):
    """Raise it in a handler: try this event again `after` seconds. It counts as an attempt."""

    def __init__(self, after: float, message: str = "") -> None:
        if not after >= 0:
            raise ValueError(f"RetryLater(after={after!r}): seconds from 0 up")
        self.after = after
        super().__init__(message or f"asked to be tried again after {after:g} s")


class Reject(EventBusError):
    """Raise it in a handler: this event can never be handled here. It becomes a dead letter at once."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


# --- topology ----------------------------------------------------------------------------------------------


class TopologyError(EventBusError):
    """The broker refuses an exchange, queue or binding; `name` is the one, `problem` what it said."""

    def __init__(self, name: str, problem: str, advice: str = "") -> None:
        self.name = name
        self.problem = problem
        advice = advice or "`eventbus topology diff` shows every difference and its fix."
        super().__init__(f"{name}: {problem}. {advice}")


class LogReplaced(EventBusError):
    """The history was deleted and declared again while it was read, or its end was lost with its broker;
    `offset` is the place that is no more."""

    def __init__(self, log: str, offset: int, end: int) -> None:
        self.log = log
        self.offset = offset
        self.end = end
        super().__init__(
            f"log {log} was deleted and declared again, or has lost its end: it ends at {end}, before "
            f"{offset}. Start again: that begins with what the new one has."
        )


def shorten(text: str, limit: int = 120) -> str:
    """`text` on one line, without control characters, and at most `limit` characters long."""
    beginning = inert(text[: limit + 1])
    return beginning if len(beginning) <= limit else beginning[: limit - 1] + "…"


def inert(text: str, *, keep: str = "") -> str:
    """`text` without control characters, but for those to `keep`: fit for a terminal and a log."""
    return text if text.isprintable() else "".join(c if c.isprintable() or c in keep else "�" for c in text)


def describe(error: BaseException) -> str:
    """An error on one inert line, for headers, logs and terminals: `ValueError: no such card`."""
    name = type(error).__name__
    try:
        text = str(error)
    except Exception as broken:  # noqa: BLE001 -- a foreign __str__ must not lose the error that it belongs to
        text = f"(its message cannot be read: {type(broken).__name__})"
    words = " ".join(text[:2000].split())  # the errors of pydantic, for example, have many lines
    return shorten(f"{name}: {words}" if words else name, 500)
