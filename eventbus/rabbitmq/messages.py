"""Messages as AMQP writes them, and back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC
from decimal import Decimal
from typing import Any, cast

from eventbus.errors import InvalidEvent
from eventbus.headers import NO_HEADERS, ROUTING_KEY, Headers, is_ours, is_reserved, publishable
from eventbus.rabbitmq.arrival import Arrival, read_usual
from eventbus.rabbitmq.fields import properties, usual_properties
from eventbus.rabbitmq.topology import Names
from eventbus.transport import Message


def properties_of(message: Message) -> bytes:
    """The properties under which a message is published, as AMQP writes them.

    The broker's own headers are dropped: a message that is published again must not carry them. What goes to
    one queue alone carries its routing key in a header. Raises `InvalidEvent` for what AMQP cannot express.
    """
    headers, event_id, timestamp = message.headers, message.event_id, message.timestamp
    if not headers and message.queue is message.correlation_id is None and event_id and timestamp:
        content_type, event_type, source = message.content_type, message.event_type, message.source
        if (usual := usual_properties(content_type, event_id, timestamp, event_type, source)) is not None:
            return usual
    if headers or message.queue is not None:
        headers = publishable(headers)
        if message.queue is not None:
            headers.setdefault(ROUTING_KEY, message.routing_key)
        else:
            _refuse_decimals(headers, message)
    return properties(
        content_type=message.content_type,
        headers=headers,
        correlation_id=message.correlation_id,
        event_id=event_id,
        timestamp=timestamp,
        event_type=message.event_type,
        source=message.source,
    )


def _refuse_decimals(headers: Headers, message: Message) -> None:
    """RabbitMQ 3.10 closes the connection over a decimal in a header that reaches a stream, as the log is."""
    for name, value in headers.items():
        if isinstance(value, Decimal):
            problem = "must not be a Decimal, which RabbitMQ's streams cannot keep: write it as text"
            raise InvalidEvent(f"header {name!r}", problem, value, event_type=message.event_type)


def message_of(names: Names, arrival: Arrival) -> Message:
    """What arrived, with the routing key it was first published with, and without the broker's headers.

    Of our own headers an event that was just published has none: what a stranger put there must not say how
    often it was tried, that it is to be handled again, or by which key it came.
    """
    _, exchange, key, _, header, body = arrival
    if exchange == names.events and (usual := read_usual(header, key)) is not None:
        (content_type, event_type, source), event_id, sent_at = usual
        return Message(
            body,
            key,
            NO_HEADERS,
            event_id,
            event_type,
            content_type,
            sent_at,
            source,
        )
    described = arrival.properties
    found = cast("Mapping[str, object] | None", described.headers)
    timely = exchange == names.events
    timestamp = described.timestamp
    return Message(
        body=body,
        routing_key=key if timely else _first_routing_key(names, arrival),
        headers=_headers(found, is_new=timely or _is_delayed_event(names, arrival)) if found else NO_HEADERS,
        event_id=described.message_id,
        event_type=described.message_type,
        content_type=described.content_type,
        timestamp=timestamp if timestamp is None or timestamp.tzinfo else timestamp.replace(tzinfo=UTC),
        source=described.app_id,
        correlation_id=described.correlation_id,
    )


def bare_message_of(names: Names, arrival: Arrival, headers: Headers = NO_HEADERS) -> Message:
    """What arrived with properties that cannot be read: its body, and what that tells."""
    body, key = arrival.body, arrival.routing_key
    event_type = _member(body, "event_type")
    return Message(
        body=body,
        routing_key=key if arrival.exchange == names.events else event_type or key,
        headers=headers,
        event_id=_member(body, "event_id"),
        event_type=event_type,
    )


def _headers(found: Mapping[str, object], *, is_new: bool) -> Headers:
    return {
        name: bytes(value) if isinstance(value, bytearray) else value
        for name, value in found.items()
        if not is_reserved(name) and not (is_new and is_ours(name))
    }


def _is_delayed_event(names: Names, arrival: Arrival) -> bool:
    kind, _ = names.undelayed(arrival.exchange, arrival.routing_key) or ("", "")
    return kind == "event"


def _first_routing_key(names: Names, arrival: Arrival) -> str:
    """The routing key of the event, where the one on the way was that of a queue or of a delay."""
    if (arrived := names.undelayed(arrival.exchange, arrival.routing_key)) is not None:
        kind, name = arrived
        if kind == "event":
            return name
    elif arrival.exchange not in {names.redeliver, names.dead}:
        return arrival.routing_key
    headers = cast("Mapping[str, object]", arrival.properties.headers or {})
    if isinstance(kept := headers.get(ROUTING_KEY), str):
        return kept
    return (
        _key_before_dead_lettering(names, headers)
        or arrival.properties.message_type
        or _member(arrival.body, "event_type")
        or arrival.routing_key
    )


def _key_before_dead_lettering(names: Names, headers: Mapping[str, object]) -> str | None:
    """What the broker wrote down when it dead-lettered a message itself."""
    for death in deaths(headers):
        exchange, keys = death.get("exchange"), death.get("routing-keys")
        if isinstance(exchange, str) and isinstance(keys, list) and keys and isinstance(keys[0], str):
            if exchange == names.events:
                return keys[0]
            kind, name = names.undelayed(exchange, keys[0]) or ("", "")
            if kind == "event":
                return name
    return None


def deaths(headers: Mapping[str, object]) -> list[dict[str, Any]]:
    """The entries of `x-death`, the latest first; another program may have written anything there."""
    found = headers.get("x-death")
    entries = cast("list[object]", found) if isinstance(found, list) else []
    return [cast("dict[str, Any]", entry) for entry in entries if isinstance(entry, dict)]


def _member(body: bytes, name: str) -> str | None:
    """A text of the envelope, whatever else is wrong with it."""
    try:
        members = json.loads(body)
    except (ValueError, RecursionError):
        return None
    found = cast("dict[str, object]", members).get(name) if isinstance(members, dict) else None
    return found if isinstance(found, str) else None
