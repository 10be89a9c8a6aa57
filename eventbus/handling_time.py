"""How long handling may take, against how long the broker lets a delivery be held."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Final

from eventbus.circuit import LONGEST_HOLD, LONGEST_PAUSE
from eventbus.errors import ConfigurationError
from eventbus.service import Member, Service
from eventbus.subscription import AnySubscription

_NAMED: Final = 5
_SETTLING: Final = 15.0
"""Seconds for the confirm of a copy, and to spare."""


def longest_hold(subscription: AnySubscription) -> float:
    """Seconds that a delivery may be held while its handler works: the last of a full prefetch waits longest.

    A batch is one run. What else holds it, such as a pause of the subscription, comes on top.
    """
    return _rounds(subscription) * subscription.timeout + _filling(subscription)


def longest_pause(subscription: AnySubscription, limit: float | None) -> float:
    """Seconds that a delivery may wait for a paused subscription: all that is fetched is settled in time."""
    if limit is None:
        return LONGEST_HOLD
    for_each = (limit - _filling(subscription)) / _rounds(subscription)
    return max(0.0, min(LONGEST_HOLD, for_each - subscription.timeout - LONGEST_PAUSE - _SETTLING))


def too_long(services: Iterable[Service], limit: float | None) -> Sequence[Member]:
    """The subscriptions whose one run may take as long as the broker waits, or longer."""
    if limit is None:
        return ()
    return tuple(member for service in services for member in service if member.subscription.timeout >= limit)


def check(services: Iterable[Service], limit: float | None) -> None:
    """Raise `ConfigurationError` where a run would outlast the broker's patience.

    The event would be handed over again while it is being handled, until its delivery limit.
    """
    if not (members := too_long(services, limit)):
        return
    named = [f"{each.queue} (timeout {each.subscription.timeout:g} s)" for each in members[:_NAMED]]
    more = f" and {len(members) - _NAMED} more" if len(members) > _NAMED else ""
    raise ConfigurationError(
        f"{', '.join(named)}{more}: the broker takes a delivery back after {limit:g} s, and hands its event "
        "over again while it is being handled. Lower @subscribe(timeout=…), or raise consumer_timeout "
        "in rabbitmq.conf (milliseconds) and EVENTBUS_CONSUMER_TIMEOUT (seconds) with it."
    )


def _rounds(subscription: AnySubscription) -> int:
    """How many runs one after the other it takes to handle a full prefetch."""
    batch = subscription.batch
    runs = subscription.prefetch if batch is None else math.ceil(subscription.prefetch / batch.size)
    return math.ceil(runs / subscription.concurrency)


def _filling(subscription: AnySubscription) -> float:
    return 0.0 if subscription.batch is None else subscription.batch.within
