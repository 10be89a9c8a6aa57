"""How handling one delivery can end: a closed set of values, carried out by `Consumption.settle` alone."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

MAX_DELAY: Final = 2**28 - 1
"""Seconds, eight and a half years: what the 28 levels of the delay network add up to."""


class Reason(StrEnum):
    """Why an event was given up. The values travel in a header and stand in dashboards: they never change."""

    UNDECODABLE = "undecodable"
    CONTENT_TYPE = "content-type"
    INVALID_ENVELOPE = "invalid-envelope"
    UNKNOWN_TYPE = "unknown-type"
    UNSUPPORTED_VERSION = "unsupported-version"
    INVALID_DATA = "invalid-data"
    FORGED = "forged"
    EXHAUSTED = "exhausted"
    REJECTED = "rejected"
    DELIVERY_LIMIT = "delivery-limit"


@dataclass(frozen=True, slots=True)
class Ack:
    """Handled: forget the delivery."""


ACK: Final = Ack()


@dataclass(frozen=True, slots=True)
class RetryAfter:
    """Hand it to this subscription again as the next attempt, in `delay` seconds: 0 to `MAX_DELAY`."""

    delay: float
    error: str
    away: bool = False
    """Whether something that the handler depends on seems to be away."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """Give it up: keep it, with its history, where an operator finds it."""

    reason: Reason
    error: str
    away: bool = False
    """As of `RetryAfter`."""


Outcome = Ack | RetryAfter | DeadLetter
