"""Envelope ⇄ message. The limits are enforced here, before any byte is sent and before any handler runs."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from pydantic_core import PydanticSerializationError, from_json, to_json

from eventbus.envelope import Envelope, envelope_from
from eventbus.errors import InvalidEvent, Unreadable, shorten
from eventbus.headers import NO_HEADERS, Headers, is_reserved
from eventbus.outcome import Reason
from eventbus.transport import Message

CONTENT_TYPE: Final = "application/json"


@dataclass(frozen=True, slots=True)
class Limits:
    """What a message may be. Sizes in bytes."""

    body: int = 1024 * 1024
    headers: int = 64 * 1024
    """AMQP's frame of 131 072 bytes must hold them all: more closes the connection."""
    header_nesting: int = 8
    nesting: int = 100
    digits: int = 1000
    delay: int = 2**28 - 1
    """Seconds; what the delay network's 28 levels add up to."""


class Codec:
    """Turns envelopes into messages and back, within `limits`."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()

    def encode(self, envelope: Envelope[Any], *, headers: Headers = NO_HEADERS) -> Message:
        """The message of an envelope; raises `InvalidEvent` when it cannot travel."""
        if headers:
            self._check_headers(headers, envelope.event_type)
        return Message(
            body=self._body(envelope),
            routing_key=envelope.event_type,
            headers=headers,
            event_id=envelope.event_id,
            event_type=envelope.event_type,
            content_type=CONTENT_TYPE,
            timestamp=envelope.timestamp,
            source=envelope.source,
            correlation_id=envelope.correlation_id,
        )

    def decode(self, message: Message) -> Envelope[dict[str, Any]]:
        """The envelope with its data as a dict; raises `Unreadable` with the reason."""
        content_type = message.content_type
        if content_type and content_type.partition(";")[0].strip().lower() != CONTENT_TYPE:
            problem = f"content type {shorten(content_type)!r} where {CONTENT_TYPE} is expected"
            raise Unreadable(Reason.CONTENT_TYPE, problem)
        members = self._members(message.body)
        try:
            envelope = envelope_from(members)
        except InvalidEvent as error:
            raise Unreadable(Reason.INVALID_ENVELOPE, f"{error.field} {error.problem}") from None
        if not isinstance(envelope.data, dict):
            raise Unreadable(Reason.INVALID_ENVELOPE, "data must be an object")
        if envelope.event_type != message.routing_key:
            raise Unreadable(
                Reason.FORGED,
                f"the body says {envelope.event_type}, the routing key {shorten(message.routing_key)!r}",
            )
        return envelope

    def _body(self, envelope: Envelope[Any]) -> bytes:
        members: dict[str, object] = {
            "event_id": envelope.event_id,
            "event_type": envelope.event_type,
            "timestamp": envelope.timestamp,
            "version": envelope.version,
            "data": envelope.data,
        }
        for name in ("source", "correlation_id", "causation_id", "key"):
            if (value := getattr(envelope, name)) is not None:
                members[name] = value
        try:
            body = to_json(members, inf_nan_mode="constants")
        except (PydanticSerializationError, ValueError, RecursionError) as error:
            problem = f"cannot be written as JSON: {shorten(str(error))}"
            raise InvalidEvent("data", problem, event_type=envelope.event_type) from None
        self._check_body(body, envelope)
        return body

    def _check_body(self, body: bytes, envelope: Envelope[Any]) -> None:
        if len(body) > self.limits.body:
            raise InvalidEvent(
                "data",
                f"makes a message of {len(body)} bytes, {self.limits.body} are allowed: "
                "keep the large part elsewhere and publish a reference to it",
                event_type=envelope.event_type,
            )
        if (b"NaN" in body or b"Infinity" in body) and (path := _not_finite(body)):
            raise InvalidEvent(path, "must be a finite number: JSON has no NaN or infinity", event_type=envelope.event_type)

    def _members(self, body: bytes) -> Mapping[str, object]:
        if len(body) > self.limits.body:
            raise _undecodable(f"a body of {len(body)} bytes, {self.limits.body} are allowed")
        try:
            parsed = from_json(body, allow_inf_nan=False)
        except ValueError as error:
            raise _undecodable(str(error) if body else "the body is empty") from None
        if not isinstance(parsed, dict):
            raise _undecodable(f"the body is no JSON object but {type(parsed).__name__}")
        if not _is_plain(body, parsed, self.limits):
            _read_strictly(body, self.limits)
        return parsed

    def _check_headers(self, headers: Headers, event_type: str) -> None:
        for name, value in headers.items():
            _check_header_name(name, event_type)
            _check_header_value(name, value, self.limits.header_nesting, event_type)
        size = _size(headers)
        if size > self.limits.headers:
            raise InvalidEvent(
                "headers", f"take {size} bytes, {self.limits.headers} are allowed", event_type=event_type
            )


# --- reading: fast where the body is plain, exact where it looks odd -----------------------------------------

_MEMBER: Final = re.compile(rb'"\s*:')
_ODD_NUMBER: Final = re.compile(rb"[0-9]{300}|[0-9][eE][+]?[0-9]{3}")


def _is_plain(body: bytes, parsed: dict[str, Any], limits: Limits) -> bool:
    """Whether a body that parsed can have no duplicate names, no huge numbers and no deep nesting.

    Every member is written `"…" :`, and strings can only add to that count: so when it equals the number of
    members that came out of the parser, no name came twice.
    """
    if _ODD_NUMBER.search(body):
        return False
    members, depth = _measure(parsed)
    return depth <= limits.nesting and len(_MEMBER.findall(body)) == members


def _measure(root: object) -> tuple[int, int]:
    """The number of object members in a parsed value, and how deep it is nested."""
    members, depth, level = 0, 0, [root]
    while level:
        depth += 1
        below: list[object] = []
        for value in level:
            if isinstance(value, dict):
                members += len(value)
                below += [v for v in value.values() if isinstance(v, (dict, list))]
            elif isinstance(value, list):
                below += [v for v in value if isinstance(v, (dict, list))]
        level = below
    return members, depth


def _read_strictly(body: bytes, limits: Limits) -> None:
    """Read once more with every rule on; raises `Unreadable` naming the one that is broken."""

    def unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
        members = dict(pairs)
        if len(members) < len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            raise _undecodable(f"the name {shorten(twice)!r} stands twice in one object")
        return members

    def short(digits: str) -> int:
        if len(digits) > limits.digits:
            raise _undecodable(f"a number of {len(digits)} digits, {limits.digits} are allowed")
        return int(digits)

    def finite(digits: str) -> float:
        short("0" * len(digits))
        if not math.isfinite(number := float(digits)):
            raise _undecodable(f"the number {shorten(digits, 40)} is out of range")
        return number

    try:
        parsed = json.loads(body, object_pairs_hook=unique, parse_int=short, parse_float=finite)
    except (ValueError, RecursionError) as error:
        raise _undecodable(str(error)) from None
    if (depth := _measure(parsed)[1]) > limits.nesting:
        raise _undecodable(f"nested {depth} deep, {limits.nesting} are allowed")


def _undecodable(problem: str) -> Unreadable:
    return Unreadable(Reason.UNDECODABLE, shorten(problem))


# --- writing: what may not leave ------------------------------------------------------------------------------


def _not_finite(body: bytes) -> str | None:
    """The path of the first number in `body` that is not finite; None where NaN stands in a string only."""
    stack: list[tuple[str, object]] = [("", json.loads(body))]
    while stack:
        path, value = stack.pop()
        if isinstance(value, float) and not math.isfinite(value):
            return path
        children: Iterable[tuple[str, object]] = ()
        if isinstance(value, dict):
            children = ((f"{path}.{name}" if path else str(name), item) for name, item in value.items())
        elif isinstance(value, list):
            children = ((f"{path}[{at}]", item) for at, item in enumerate(value))
        stack.extend(children)
    return None


def _check_header_name(name: object, event_type: str) -> None:
    if not isinstance(name, str) or not name or not name.isascii() or not name.isprintable() or len(name) > 128:
        problem = "must have a name of 1 to 128 visible ASCII characters"
        raise InvalidEvent("headers", problem, name, event_type=event_type)
    if is_reserved(name):
        raise InvalidEvent(f"header {name}", "is reserved for the broker", event_type=event_type)
    if name.lower().startswith("eventbus-"):
        raise InvalidEvent(f"header {name}", "is reserved for eventbus", event_type=event_type)


def _check_header_value(name: str, value: object, levels: int, event_type: str) -> None:
    match value:
        case None | bool() | bytes() | datetime():
            return
        case str() if _is_utf8(value):
            return
        case int() if -(2**63) <= value < 2**63:
            return
        case float() | Decimal() if math.isfinite(value):
            return
        case Mapping() | list() | tuple() if levels > 0:
            items: Iterable[object] = value.values() if isinstance(value, Mapping) else value
            for item in items:
                _check_header_value(name, item, levels - 1, event_type)
        case Mapping() | list() | tuple():
            raise InvalidEvent(f"header {name}", "is nested over 8 deep", event_type=event_type)
        case _:
            problem = "must be text, a 64-bit integer, a finite number, a time, bytes, or lists and dicts of them"
            raise InvalidEvent(f"header {name}", problem, value, event_type=event_type)


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _size(value: object) -> int:
    """At least the bytes that a header value takes on the wire (AMQP 0-9-1 §4.2.5.5)."""
    match value:
        case str():
            return 5 + len(value.encode())
        case bytes():
            return 5 + len(value)
        case Mapping():
            return 5 + sum(1 + len(str(name)) + _size(item) for name, item in value.items())
        case Sequence():
            return 5 + sum(_size(item) for item in value)
        case _:
            return 9
