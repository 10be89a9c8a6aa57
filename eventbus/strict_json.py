"""JSON bodies as the contract has them: no name twice, no absurd numbers, no absurd nesting.

Fast where a body is plain, exact where it looks odd: pydantic's parser reads everything, and only what it
cannot rule out to be bad is read a second time, strictly.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import dataclass
from typing import Any, Final, cast

from pydantic_core import from_json

from eventbus.errors import shorten


class BadJson(ValueError):
    """A body that is not read; the message says why."""


@dataclass(frozen=True, slots=True)
class JsonLimits:
    nesting: int = 100
    digits: int = 1000


def read_object(body: bytes, limits: JsonLimits) -> dict[str, Any]:
    """The object that `body` is; raises `BadJson`."""
    try:
        parsed: object = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise BadJson(str(error) if body else "the body is empty") from None
    if not isinstance(parsed, dict):
        raise BadJson(f"the body is no JSON object but {type(parsed).__name__}")
    members = cast("dict[str, Any]", parsed)
    if not _is_plain(body, members, limits):
        _read_strictly(body, limits)
    return members


def first_not_finite(body: bytes) -> str | None:
    """The path of the first NaN or infinity among the numbers of a body that we wrote, if there is one."""
    stack: list[tuple[str, object]] = [("", json.loads(body))]
    while stack:
        path, value = stack.pop()
        if isinstance(value, float) and not math.isfinite(value):
            return path
        stack.extend(_children(path, value))
    return None


def count_names(body: bytes) -> int:
    """How many names of members a body has, or more: without its spaces each is written `"…":`, and a string
    that holds the like can only add to that.
    """
    return body.translate(None, _SPACE).count(b'":')


def looks_readable(body: bytes, limits: JsonLimits) -> bool:
    """A cheap look at a body that we wrote: False where its nesting or its numbers may be over the limits."""
    if has_long_number(body, limits):
        return False
    if body.count(b"{") + (body.count(b"[") if _LIST in body else 0) <= limits.nesting:
        return True
    brackets = body.translate(None, _NO_BRACKETS)
    for _ in range(limits.nesting):
        brackets = brackets.replace(b"{}", b"").replace(b"[]", b"")
        if not brackets:
            return True
    return False


_LIST: Final = ord("[")
"""An octet, for a single one is found much faster than counted, or than text."""
_SPACE: Final = b" \t\r\n"
_INFINITE: Final = (math.inf, -math.inf)
_NO_BRACKETS: Final = bytes(set(range(256)) - set(b"{}[]"))
_DIGITS_AS_ZEROS: Final = bytes(ord("0") if chr(code).isdecimal() else 0 for code in range(128)) + bytes(128)


def _is_plain(body: bytes, parsed: dict[str, Any], limits: JsonLimits) -> bool:
    """Whether a body that parsed can have no duplicate names, no huge numbers and no deep nesting.

    When there are as many names as members came out of the parser, no name came twice.
    """
    if has_long_number(body, limits):
        return False
    return _members(parsed, limits.nesting) == count_names(body)


def _members(value: Any, levels: int) -> int:
    """How many object members a parsed value has; -1 where it is nested deeper, or a number is infinite."""
    if not levels:
        return -1
    count = 0
    if value.__class__ is dict:
        count = len(value)
        value = value.values()
    for each in value:
        kind = each.__class__
        if kind is dict or kind is list:
            if (below := _members(each, levels - 1)) < 0:
                return below
            count += below
        elif kind is float and each in _INFINITE:
            return -1
    return count


def has_long_number(body: bytes, limits: JsonLimits) -> bool:
    """Whether there may be a number over the limit: it has at most three runs of digits, one of them long.

    A tenth of that run is looked for first, in every so many-th octet: most bodies have not even that.
    """
    if len(body) <= limits.digits:
        return False
    run = limits.digits // 4
    step = max(1, run // 10)
    if b"0" * (run // step) not in body[::step].translate(_DIGITS_AS_ZEROS):
        return False
    return b"0" * run in body.translate(_DIGITS_AS_ZEROS)


def _depth(root: object) -> int:
    """How deep a parsed value is nested."""
    depth = 0
    level: list[object] = [root]
    while level:
        depth += 1
        below = [each for value in level for _, each in _children("", value)]
        level = [each for each in below if isinstance(each, (dict, list))]
    return depth


def _children(path: str, value: object) -> list[tuple[str, object]]:
    if isinstance(value, dict):
        named = cast("dict[str, object]", value)
        return [(f"{path}.{name}" if path else name, item) for name, item in named.items()]
    if isinstance(value, list):
        return [(f"{path}[{at}]", item) for at, item in enumerate(cast("list[object]", value))]
    return []


def _read_strictly(body: bytes, limits: JsonLimits) -> None:
    """Read once more with every rule on; raises `BadJson` naming the one that is broken."""

    def unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
        members = dict(pairs)
        if len(members) < len(pairs):
            twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
            raise BadJson(f"the name {shorten(twice)!r} stands twice in one object")
        return members

    def short(digits: str) -> int:
        _refuse_long(digits, limits)
        return int(digits)

    def finite(digits: str) -> float:
        _refuse_long(digits, limits)
        if not math.isfinite(number := float(digits)):
            raise BadJson(f"the number {shorten(digits, 40)} is out of range")
        return number

    try:
        parsed = json.loads(body, object_pairs_hook=unique, parse_int=short, parse_float=finite)
    except (ValueError, RecursionError) as error:
        raise BadJson(str(error)) from None
    if (depth := _depth(parsed)) > limits.nesting:
        raise BadJson(f"nested {depth} deep, {limits.nesting} are allowed")


def _refuse_long(digits: str, limits: JsonLimits) -> None:
    if len(digits) > limits.digits:
        raise BadJson(f"a number of {len(digits)} digits, {limits.digits} are allowed")
