"""A dead letter as it may be shown: without what its class marks as secret."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Final, cast

from eventbus.dead_letters.hiding import without
from eventbus.headers import ERROR
from eventbus.secret import MASK, Secrets
from eventbus.transport import DeadLetterEntry

NOTHING_SECRET: Final = Secrets()


def masked(entry: DeadLetterEntry, secrets: Secrets) -> DeadLetterEntry:
    """The body without its secrets, and the error without their values, which a handler may have told."""
    message = entry.message
    body = secrets.body(message.routing_key, message.body)
    if body == message.body:
        return entry
    error = without(entry.error, _values(message.body, body))
    headers = {**message.headers, ERROR: error} if ERROR in message.headers else message.headers
    return replace(entry, message=replace(message, body=body, headers=headers), error=error)


def _values(original: bytes, shown: bytes) -> set[str]:
    """The texts of what is masked, as an error may quote them."""
    try:
        before, after = json.loads(original), json.loads(shown)
    except (ValueError, RecursionError):
        return set()
    return set(_hidden(before, after))


def _hidden(before: object, after: object) -> Iterator[str]:
    if after == MASK != before:
        yield from _texts(before)
    elif isinstance(before, dict) and isinstance(after, dict):
        members, shown = cast("dict[str, object]", before), cast("dict[str, object]", after)
        for name, value in members.items():
            yield from _hidden(value, shown.get(name))
    elif isinstance(before, list) and isinstance(after, list):
        for value, other in zip(cast("list[object]", before), cast("list[object]", after), strict=False):
            yield from _hidden(value, other)


def _texts(value: object) -> Iterator[str]:
    match value:
        case dict():
            for each in cast("dict[str, object]", value).values():
                yield from _texts(each)
        case list():
            for each in cast("list[object]", value):
                yield from _texts(each)
        case str() | int() | float():
            yield str(value)
        case _:
            return
