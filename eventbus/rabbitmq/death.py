"""What the broker wrote on a message that it gave up itself, told in our own headers."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import cast

from eventbus import headers as names_of
from eventbus.errors import shorten
from eventbus.outcome import Reason
from eventbus.rabbitmq.arrival import Arrival, BadProperties
from eventbus.rabbitmq.messages import bare_message_of, deaths, message_of
from eventbus.rabbitmq.topology import Names
from eventbus.transport import Message


def dead_message_of(names: Names, arrival: Arrival) -> Message:
    """A dead letter, with headers that say why it is one: those it has, or what the broker's own come to.

    One whose properties cannot be read is shown without them: nobody could do anything with it otherwise.
    """
    try:
        message = message_of(names, arrival)
    except BadProperties as error:
        why = {names_of.REASON: Reason.UNDECODABLE, names_of.ERROR: shorten(str(error))}
        return bare_message_of(names, arrival, why)
    if isinstance(message.headers.get(names_of.REASON), str):
        return message
    told = cast("dict[str, object]", arrival.properties.headers or {})
    no_death: dict[str, object] = {}
    death = next(iter(deaths(told)), no_death)
    headers = {**message.headers, names_of.REASON: _reason(death)}
    if not isinstance(message.headers.get(names_of.ERROR), str):
        headers[names_of.ERROR] = _error(told)
    if isinstance(died_at := death.get("time"), datetime):
        headers[names_of.FAILED_AT] = (died_at if died_at.tzinfo else died_at.replace(tzinfo=UTC)).isoformat()
    return replace(message, headers=headers)


def _reason(death: dict[str, object]) -> str:
    reason = death.get("reason")
    if reason == "delivery_limit":
        return Reason.DELIVERY_LIMIT
    return reason if isinstance(reason, str) else "unknown"


def _error(told: dict[str, object]) -> str:
    count = told.get("x-delivery-count")
    times = f"handed over {count + 1} times and never settled" if isinstance(count, int) else "never settled"
    return f"{times}: the process that handled it may have died of it"
