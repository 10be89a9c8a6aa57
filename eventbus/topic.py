"""Event types and binding patterns, matched exactly as RabbitMQ's topic exchange matches them."""

from __future__ import annotations

import re
from typing import Final

from eventbus.errors import ConfigurationError, InvalidEvent

MAX_TYPE_BYTES: Final = 190
"""Of AMQP's 255 bytes for a routing key the delay network takes 62, and leaves a margin."""

_EVENT_TYPE: Final = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*")
_PATTERN_WORD: Final = re.compile(r"[a-z][a-z0-9_]*|\*|#")


def matches(pattern: str, topic: str) -> bool:
    """Whether a queue bound by `pattern` gets what is published under `topic`.

    `*` stands for one word, `#` for any number of words, none included. The empty string has no words;
    elsewhere an empty word is a word: `a..b` has three.
    """
    if "#" not in pattern:
        return _one_to_one(_words(pattern), _words(topic))
    return _any_number(_words(pattern), _words(topic))


def is_event_type(text: str) -> bool:
    return len(text) <= MAX_TYPE_BYTES and _EVENT_TYPE.fullmatch(text) is not None


def check_event_type(event_type: str) -> str:
    """`event_type` itself; raises `InvalidEvent` when it is none."""
    if is_event_type(event_type):
        return event_type
    size = len(event_type.encode("utf-8", "surrogatepass"))
    if size > MAX_TYPE_BYTES:
        raise InvalidEvent("event_type", f"has {size} bytes, {MAX_TYPE_BYTES} are allowed", event_type)
    raise InvalidEvent(
        "event_type", "must be lower-case words joined by dots, such as 'order.created'", event_type
    )


def check_pattern(pattern: str) -> str:
    """`pattern` itself; raises `ConfigurationError` when no event type could ever match it."""
    words = pattern.split(".")
    if len(pattern) <= MAX_TYPE_BYTES and all(_PATTERN_WORD.fullmatch(word) for word in words):
        return pattern
    raise ConfigurationError(
        f"{pattern!r} is no binding pattern: use words such as 'order.created', with * for one word "
        f"and # for any number of words, {MAX_TYPE_BYTES} bytes at most."
    )


def _words(key: str) -> list[str]:
    return key.split(".") if key else []


def _one_to_one(pattern: list[str], topic: list[str]) -> bool:
    return len(pattern) == len(topic) and all(p in ("*", t) for p, t in zip(pattern, topic, strict=True))


def _any_number(pattern: list[str], topic: list[str]) -> bool:
    """Row by row: after each pattern word, which prefixes of the topic can have been consumed."""
    reachable = [True] + [False] * len(topic)
    for word in pattern:
        if word == "#":
            first = reachable.index(True) if True in reachable else len(reachable)
            reachable = [at >= first for at in range(len(reachable))]
        else:
            reachable = [False] + [
                before and word in ("*", topic[at]) for at, before in enumerate(reachable[:-1])
            ]
    return reachable[-1]
