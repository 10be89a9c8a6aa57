"""All that may not be published, and all that may arrive and is not handled."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from pydantic import BaseModel, SecretStr

from eventbus import Envelope, Event
from eventbus.outcome import Reason
from eventbus.transport import Message

NOON: Final = datetime(2025, 2, 15, 12, tzinfo=UTC)


class Login(BaseModel):
    name: str
    password: SecretStr


class OrderPlaced(Event, type="order.placed", version="2.1"):
    """The event of these tests; they subscribe to `order.#`."""

    order_id: int
    total: Decimal = Decimal(1)
    extra: dict[str, Any] | None = None


class Registered(Event, type="order.registered"):
    """An event that would lose its secret on the way."""

    logins: list[Login]


ORDER: Final = OrderPlaced(order_id=1)


# --- on the way out


@dataclass(frozen=True)
class Refused:
    """A `publish` that raises `InvalidEvent` and sends nothing; the error names the field `culprit`."""

    name: str
    culprit: str
    event: Event | Envelope[Any] | str = ORDER
    data: Any = None
    options: dict[str, Any] = field(default_factory=dict[str, Any])
    told: str = ""
    """What must stand in the error: the limit, the value."""

    def __str__(self) -> str:
        return self.name


def _by_type(name: str, event_type: str, told: str = "") -> Refused:
    return Refused(name, "event_type", event_type, {}, told=told)


def _member(name: str, member: str, value: Any, told: str = "") -> Refused:
    return Refused(name, member, options={member: value}, told=told)


def _header(name: str, header: str, value: Any, told: str = "") -> Refused:
    return Refused(name, f"header {header}", options={"headers": {header: value}}, told=told)


def _nested(depth: int) -> Any:
    return {"a": _nested(depth - 1)} if depth else 1


def _unchecked(**members: Any) -> Envelope[Any]:
    """An envelope that somebody has built around the checks."""
    return Envelope.wrap(ORDER, event_id="evt_1", timestamp=NOON).with_(**members)


REFUSED: Final = [
    _by_type("event type over its limit", "a" * 191, "has 191 bytes, 190 are allowed"),
    _by_type("event type over its limit in bytes", "ä" * 96, "has 192 bytes, 190 are allowed"),
    _by_type("event type with a control character", "order.placed\n", "order.placed\\n"),
    _by_type("event type with a null", "order\0placed"),
    _by_type("event type with a wildcard", "order.*"),
    _by_type("event type with a hash", "order.#"),
    _by_type("event type with an empty word", "order..placed"),
    _by_type("event type with an empty last word", "order."),
    _by_type("event type that is empty", ""),
    _by_type("event type with a lone surrogate", "order\ud800"),
    _by_type("event type in upper case", "Order.Placed"),
    _member("event id that is empty", "event_id", "", "1 to 255"),
    _member("event id over its limit", "event_id", "x" * 256, "1 to 255"),
    _member("event id with a line break", "event_id", "a\nb"),
    _member("event id with an umlaut", "event_id", "ä"),
    _member("correlation id over its limit", "correlation_id", "x" * 256),
    _member("causation id that is empty", "causation_id", ""),
    _member("key over its limit in bytes", "key", "ä" * 128, "255 bytes"),
    _member("key with a control character", "key", "\x1b[31m"),
    _member("key with a lone surrogate", "key", "\ud800"),
    Refused("timestamp that is naive", "timestamp", _unchecked(timestamp=datetime(2025, 2, 15))),  # noqa: DTZ001
    Refused("version that is none", "version", "order.other", {}, {"version": "1"}, "MAJOR.MINOR"),
    Refused(
        "version that no class describes",
        "version",
        "order.placed",
        {"order_id": 1},
        {"version": "7.0"},
        "2.1",
    ),
    Refused("data that is missing", "data", "order.other"),
    Refused("data that is no object", "data", _unchecked(data=[1])),
    Refused(
        "data that does not fit its model", "data.order_id", "order.placed", {"order_id": "many"}, told="many"
    ),
    Refused("data of another event", "data", _unchecked(event_type="order.other")),
    Refused(
        "NaN by class",
        "data.extra.deep[1]",
        OrderPlaced(order_id=1, extra={"deep": [1, math.nan]}),
        told="NaN",
    ),
    Refused("infinity by name", "data.real", "order.other", {"real": -math.inf}),
    Refused(
        "a NaN Decimal by its model", "data.total", "order.placed", {"order_id": 1, "total": Decimal("NaN")}
    ),
    Refused(
        "a secret",
        "data.logins",
        Registered(logins=[Login(name="ada", password=SecretStr("enigma"))]),
        told="would travel as asterisks",
    ),
    Refused("text with a lone surrogate", "data", "order.other", {"text": "\ud800"}),
    Refused("bytes that are no text", "data", "order.other", {"bytes": b"\xff"}),
    Refused("an object that JSON has not", "data", "order.other", {"object": object()}),
    Refused(
        "a body over its limit", "data", "order.other", {"text": "x" * 2**20}, told="1048576 are allowed"
    ),
    Refused("data nested too deep", "data", "order.other", _nested(101), told="100 are allowed"),
    Refused("a number too long", "data", "order.other", {"n": 10**1001}, told="1000 are allowed"),
    _header("a header of the broker", "x-delay", 1, "reserved"),
    _header("CC", "CC", ["payment.charge"], "reserved"),
    _header("BCC", "bcc", ["payment.charge"], "reserved"),
    _header("a header of eventbus", "eventbus-attempt", 7, "reserved"),
    _header("a header that is NaN", "rate", math.nan, "nan"),
    _header("a header nested too deep", "tree", _nested(9), "8 deep"),
    _header("a header of no type of AMQP", "object", {1}),
    _header("a header with a lone surrogate", "text", "\ud800"),
    Refused(
        "headers over their limit",
        "headers",
        options={"headers": {"a": "x" * 70_000}},
        told="65536 are allowed",
    ),
    Refused("a header without a name", "headers", options={"headers": {"": 1}}),
    _member("a delay in the past", "delay", -1, "-1"),
    _member("a delay over its maximum", "delay", timedelta(seconds=2**28), "268435455"),
    _member("a delay of NaN", "delay", math.nan, "nan"),
    _member("a moment that is naive", "at", datetime(2025, 2, 15), "zone"),  # noqa: DTZ001
    Refused("a delay and a moment", "delay", options={"delay": 1, "at": NOON}),
    _member("a timeout of nothing", "timeout", 0, "above 0"),
]


# --- on the way in


@dataclass(frozen=True)
class Unhandled:
    """A message that becomes a dead letter at once, with its reason and its original bytes."""

    name: str
    reason: Reason
    body: bytes
    routing_key: str = "order.placed"
    content_type: str | None = "application/json"

    def __str__(self) -> str:
        return self.name

    def message(self) -> Message:
        return Message(self.body, self.routing_key, content_type=self.content_type)


def body(**changes: Any) -> bytes:
    """A right body but for the changes; a member changed to `...` is left out."""
    members = {
        "event_id": "evt_1",
        "event_type": "order.placed",
        "timestamp": "2025-02-15T12:00:00Z",
        "version": "2.1",
        "data": {"order_id": 1, "total": "1.00"},
        **changes,
    }
    return json.dumps({name: value for name, value in members.items() if value is not ...}).encode()


def _raw(old: str, new: str) -> bytes:
    text = body().decode()
    assert old in text
    return text.replace(old, new).encode("utf-8", "surrogatepass")


def _undecodable(name: str, body: bytes) -> Unhandled:
    return Unhandled(name, Reason.UNDECODABLE, body)


def _ill_formed(name: str, **changes: Any) -> Unhandled:
    return Unhandled(name, Reason.INVALID_ENVELOPE, body(**changes))


UNHANDLED: Final = [
    _undecodable("empty body", b""),
    _undecodable("null body", b"null"),
    _undecodable("bytes of zero", bytes(100)),
    _undecodable("bad UTF-8", body().replace(b"evt_1", b"evt_\xff")),
    _undecodable("another encoding", body().decode().encode("utf-16")),
    _undecodable("BOM", b"\xef\xbb\xbf" + body()),
    _undecodable("truncated JSON", body()[:-1]),
    _undecodable("more than one value", body() + body()),
    _undecodable("a list", b"[" + body() + b"]"),
    _undecodable(
        "nesting over the limit", _raw('"order_id": 1', '"order_id": 1, "x": ' + "[" * 150 + "]" * 150)
    ),
    _undecodable("nesting without end", b'{"a":' * 100_000),
    _undecodable("a number of thousands of digits", _raw('"order_id": 1', '"order_id": ' + "9" * 5000)),
    _undecodable("a number out of range", _raw('"order_id": 1', '"order_id": 1e999')),
    _undecodable("NaN", _raw('"order_id": 1', '"order_id": NaN')),
    _undecodable("a member twice", _raw('"version"', '"event_id": "evt_2", "version"')),
    _undecodable("a member of the data twice", _raw('"total"', '"order_id": 2, "total"')),
    _undecodable("a lone surrogate", _raw("evt_1", "evt_\\ud800")),
    _undecodable("a body over the limit", body(data={"order_id": 1, "text": "x" * 2**20})),
    Unhandled("XML", Reason.CONTENT_TYPE, b"<order/>", content_type="text/xml"),
    Unhandled(
        "JSON that says it is another type", Reason.CONTENT_TYPE, body(), content_type="application/pickle"
    ),
    *(
        _ill_formed(f"without {name}", **{name: ...})
        for name in ("event_id", "event_type", "timestamp", "version", "data")
    ),
    _ill_formed("event id that is a number", event_id=7),
    _ill_formed("event id over its limit", event_id="x" * 256),
    _ill_formed("event id that is inert no more", event_id="\x1b[31mevt\n"),
    _ill_formed("event type that is none", event_type="Order Placed"),
    _ill_formed("timestamp that is naive", timestamp="2025-02-15T12:00:00"),
    _ill_formed("timestamp that is a number", timestamp=1739620800),
    _ill_formed("timestamp that never was", timestamp="2025-02-30T12:00:00Z"),
    _ill_formed("version that is a number", version=2.1),
    _ill_formed("version that is none", version="two"),
    _ill_formed("data that is null", data=None),
    _ill_formed("data that is a list", data=[1]),
    _ill_formed("source that is empty", source=""),
    Unhandled(
        "an unknown type", Reason.UNKNOWN_TYPE, body(event_type="order.eaten"), routing_key="order.eaten"
    ),
    Unhandled("a newer major version", Reason.UNSUPPORTED_VERSION, body(version="3.0")),
    Unhandled("an older one that no step leads from", Reason.UNSUPPORTED_VERSION, body(version="1.0")),
    Unhandled("data that does not fit", Reason.INVALID_DATA, body(data={"order_id": "\x1b[31mmany"})),
    Unhandled("data without a member", Reason.INVALID_DATA, body(data={})),
    Unhandled("a type that is not its routing key", Reason.FORGED, body(), routing_key="order.paid"),
]
