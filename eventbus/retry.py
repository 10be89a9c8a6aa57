"""Retry as a value: what to do about an error, computed without I/O."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import cast

from eventbus.errors import ConfigurationError, Reject, RetryLater, Unreadable, describe, shorten
from eventbus.outcome import MAX_DELAY, DeadLetter, Outcome, Reason, RetryAfter

Jitter = Callable[[], float]
"""Draws a number from 0 (included) to 1 (excluded)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often, after which waits, and on which errors an event is tried again.

    Retry *n* waits `first · backoff^(n-1)` seconds, at most `maximum`; jitter lengthens that by up to 50 %
    and never shortens it. `delay_for(error)` may decide by the error: seconds to wait, or None for the rule
    (429 → 120); where it fails, the rule holds. Errors of `give_up_on`, and those not of `retry_on`, become
    dead letters at once. Errors of `pause_on` say that something is away: after many in a row, of different
    events, the whole subscription pauses, and its events keep their attempts until one of them succeeds.
    """

    max_attempts: int = 5
    backoff: float = 2.0
    first: float = 2.0
    maximum: float = 600.0
    jitter: bool = True
    retry_on: tuple[type[Exception], ...] = (Exception,)
    give_up_on: tuple[type[Exception], ...] = ()
    delay_for: Callable[[Exception], float | None] | None = field(default=None)
    pause_on: tuple[type[Exception], ...] = (ConnectionError, TimeoutError)

    def __post_init__(self) -> None:
        for name, value, least in (
            ("max_attempts", self.max_attempts, 1),
            ("backoff", self.backoff, 1),
            ("first", self.first, 0),
            ("maximum", self.maximum, 0),
        ):
            if not value >= least:
                raise ConfigurationError(f"RetryPolicy({name}={value!r}): must be {least} or more.")
        for name in ("retry_on", "give_up_on", "pause_on"):
            object.__setattr__(self, name, _classes(name, getattr(self, name)))

    def decide(self, error: Exception, attempt: int, *, draw: Jitter = random.random) -> Outcome:
        """The outcome of the `attempt`-th attempt (1-based) that ended with `error`."""
        outcome = self._decide(error, attempt, draw)
        return replace(outcome, away=True) if isinstance(error, self.pause_on) else outcome

    def wait_after(self, attempt: int) -> float:
        """Seconds between the `attempt`-th failure and the next attempt, without jitter."""
        if not self.first:
            return 0.0
        try:
            return min(self.maximum, self.first * float(self.backoff) ** (attempt - 1))
        except OverflowError:
            return self.maximum

    def _decide(self, error: Exception, attempt: int, draw: Jitter) -> RetryAfter | DeadLetter:
        told = describe(error)
        match error:
            case Unreadable():
                return DeadLetter(Reason(error.reason), told)
            case Reject():
                return DeadLetter(Reason.REJECTED, told)
            case _ if not self._deserves_retry(error):
                return DeadLetter(Reason.REJECTED, told)
            case _ if attempt >= self.max_attempts:
                return DeadLetter(Reason.EXHAUSTED, told)
            case RetryLater():
                return RetryAfter(min(error.after, MAX_DELAY), told)
            case _:
                return self._again(error, attempt, draw, told)

    def _deserves_retry(self, error: Exception) -> bool:
        if isinstance(error, RetryLater):
            return True
        return isinstance(error, self.retry_on) and not isinstance(error, self.give_up_on)

    def _again(self, error: Exception, attempt: int, draw: Jitter, told: str) -> RetryAfter:
        try:
            by_error = self._by_error(error)
        except Exception as broken:  # noqa: BLE001 -- a broken rule must not lose the event
            by_error, told = None, shorten(f"{told}; and delay_for failed: {describe(broken)}", 500)
        if by_error is not None:
            return RetryAfter(min(max(0.0, by_error), MAX_DELAY), told)
        wait = self.wait_after(attempt)
        return RetryAfter(min(wait * (1 + 0.5 * draw()) if self.jitter else wait, MAX_DELAY), told)

    def _by_error(self, error: Exception) -> float | None:
        if self.delay_for is None or (seconds := self.delay_for(error)) is None:
            return None
        if math.isnan(seconds):
            raise ValueError("it gave NaN")
        return seconds


def _classes(name: str, given: object) -> tuple[type[Exception], ...]:
    """As a tuple, whatever collection they came in; one class alone is one, too."""
    collection = isinstance(given, (tuple, list, set, frozenset))
    classes: list[type[Exception]] = []
    for each in cast("Iterable[object]", given) if collection else [given]:
        if not (isinstance(each, type) and issubclass(each, Exception)):
            raise ConfigurationError(f"RetryPolicy({name}=…): {each!r} is no class of exceptions.")
        classes.append(each)
    return tuple(classes)
