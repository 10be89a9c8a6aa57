"""The table of header names, and how they change when a message moves."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Final

ATTEMPT: Final = "eventbus-attempt"
FIRST_FAILED_AT: Final = "eventbus-first-failed-at"
REASON: Final = "eventbus-reason"
ERROR: Final = "eventbus-error"
REPLAY_ID: Final = "eventbus-replay-id"
REPROCESS: Final = "eventbus-reprocess"
"""Beside a replay's id: what was handled before is handled again, once for each such replay."""
ROUTING_KEY: Final = "eventbus-routing-key"
"""Only on copies that move to one queue: the routing key that the event was first published with."""
FAILED_AT: Final = "eventbus-failed-at"
"""Only on retries and dead letters: when the attempt that `eventbus-error` tells of has failed."""
TRACEPARENT: Final = "traceparent"

Headers = Mapping[str, object]
"""AMQP field values: str, bytes, bool, int, float, datetime, None, and lists and dicts of them."""

MAX_ATTEMPT: Final = 2**63 - 1
"""The largest number that AMQP carries; a forged one must not make a message that cannot be sent."""

_LONGEST_ID: Final = 255
"""Of a replay. It becomes part of a key in the inbox, which a database takes up to some length only."""

NO_HEADERS: Final[Headers] = MappingProxyType({})


def attempt(headers: Headers) -> int:
    """The 1-based attempt that this message is; anything unreadable counts as the first."""
    value = headers.get(ATTEMPT) if headers else None
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 1


def replay_id(headers: Headers) -> str | None:
    """Of the replay that brings it; None for what was published now, and for what is no id of ours."""
    value = headers.get(REPLAY_ID) if headers else None
    return value if isinstance(value, str) and value.isprintable() and len(value) <= _LONGEST_ID else None


def rerun_of(headers: Headers) -> str:
    """The id of the replay that has this handled again; empty where it is to be handled once, as ever."""
    return (replay_id(headers) or "") if headers.get(REPROCESS) is True else ""


def is_reserved(name: str) -> bool:
    """Whether the name is the broker's: `x-*`, and CC and BCC, which bypass topic permissions on 3.x."""
    return name[:2].lower() == "x-" or name.upper() in {"CC", "BCC"}


def is_ours(name: str) -> bool:
    """Whether the name is one of this table that nobody else may give."""
    return name.startswith("eventbus-")


def publishable(headers: Headers) -> dict[str, object]:
    """Without the broker's own: stale `x-*` make RabbitMQ < 4.0.1 drop a message as a cycle."""
    return {name: value for name, value in headers.items() if not is_reserved(name)}


def for_retry(headers: Headers, routing_key: str, error: str, now: datetime) -> dict[str, object]:
    """The headers of the next attempt."""
    following = min(attempt(headers) + 1, MAX_ATTEMPT)
    return {**_failed(headers, routing_key, error, now), ATTEMPT: following}


def for_dead_letter(
    headers: Headers, routing_key: str, reason: str, error: str, now: datetime
) -> dict[str, object]:
    """The headers of a dead letter: the history so far, and why it ended."""
    return {**_failed(headers, routing_key, error, now), ATTEMPT: attempt(headers), REASON: reason}


def for_redrive(headers: Headers) -> dict[str, object]:
    """The headers of a dead letter that starts anew: attempt 1, and nothing of how it ended.

    `eventbus-first-failed-at` stays: since when this event is in trouble is true until it is handled.
    """
    return {name: value for name, value in publishable(headers).items() if name not in _OF_THE_END}


def _failed(headers: Headers, routing_key: str, error: str, now: datetime) -> dict[str, object]:
    kept = publishable(headers)
    kept.setdefault(FIRST_FAILED_AT, now.isoformat())
    kept.setdefault(ROUTING_KEY, routing_key)
    return {**kept, FAILED_AT: now.isoformat(), ERROR: error}


_OF_THE_END: Final = frozenset({ATTEMPT, REASON, ERROR, FAILED_AT})
