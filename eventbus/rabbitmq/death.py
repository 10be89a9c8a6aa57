"""What the broker wrote on a message that it gave up itself, told in our own headers."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Final, cast

from eventbus import headers as names_of
from eventbus.errors import shorten
from eventbus.outcome import Reason
from eventbus.rabbitmq.arrival import Arrival, BadProperties
from eventbus.rabbitmq.messages import bare_message_of, deaths, message_of
from eventbus.rabbitmq.topology import Names
from eventbus.transport import Message

UNDELIVERED: Final = "undelivered"
"""A reason that is shown, and never written: nobody gave the event up."""


def dead_message_of(names: Names, arrival: Arrival) -> Message:
    """A dead letter, with headers that say why it is one: those it has, or what the broker's own come to.

    One whose properties cannot be read is shown without them: nobody could do anything with it otherwise.
    """
    due = names.undelayed(arrival.exchange, arrival.routing_key)
    # A retry names the queue that it is for; an event is for whoever is bound when it is sent again.
    queue = due[1] if due is not None and due[0] == "queue" else None
    try:
        message = replace(message_of(names, arrival), queue=queue)
    except BadProperties as error:
        why = {names_of.REASON: Reason.UNDECODABLE, names_of.ERROR: shorten(str(error))}
        return replace(bare_message_of(names, arrival, why), queue=queue)
    told = cast("dict[str, object]", arrival.properties.headers or {})
    no_death: dict[str, object] = {}
    death = next(iter(deaths(told)), no_death)
    if due is not None:
        return _undelivered(message, death)
    if isinstance(message.headers.get(names_of.REASON), str):
        return message
    headers = {**message.headers, names_of.REASON: _reason(death), **_time(death)}
    if not isinstance(message.headers.get(names_of.ERROR), str):
        headers[names_of.ERROR] = _error(told)
    return replace(message, headers=headers)


def _undelivered(message: Message, death: dict[str, object]) -> Message:
    what = f"the queue {message.queue}" if message.queue else "a queue for it"
    why = f"it was due, and {what} was not there"
    if isinstance(failed := message.headers.get(names_of.ERROR), str):
        why = f"{why}; before that: {failed}"
    told = {names_of.REASON: UNDELIVERED, names_of.ERROR: shorten(why), **_time(death)}
    return replace(message, headers={**message.headers, **told})


def _time(death: dict[str, object]) -> dict[str, object]:
    if not isinstance(at := death.get("time"), datetime):
        return {}
    return {names_of.FAILED_AT: (at if at.tzinfo else at.replace(tzinfo=UTC)).isoformat()}


def _reason(death: dict[str, object]) -> str:
    reason = death.get("reason")
    if reason == "delivery_limit":
        return Reason.DELIVERY_LIMIT
    return reason if isinstance(reason, str) else "unknown"


def _error(told: dict[str, object]) -> str:
    count = told.get("x-delivery-count")
    times = f"handed over {count + 1} times and never settled" if isinstance(count, int) else "never settled"
    return f"{times}: the process that handled it may have died of it"
