"""Retry as a value: what to do about an error, computed without I/O."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from eventbus.errors import ConfigurationError, Reject, RetryLater, Unreadable, describe
from eventbus.outcome import DeadLetter, Outcome, Reason, RetryAfter

Jitter = Callable[[], float]
"""Draws a number from 0 (included) to 1 (excluded)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often, after which waits, and on which errors an event is tried again.

    Retry *n* waits `first · backoff^(n-1)` seconds, at most `maximum`; jitter lengthens that by up to 50 %
    and never shortens it. `delay_for(error)` may decide by the error: seconds to wait, or None for the rule
    (429 → 120). Errors of `give_up_on`, and those not of `retry_on`, become dead letters at once.
    """

    max_attempts: int = 5
    backoff: float = 2.0
    first: float = 2.0
    maximum: float = 600.0
    jitter: bool = True
    retry_on: tuple[type[Exception], ...] = (Exception,)
    give_up_on: tuple[type[Exception], ...] = ()
    delay_for: Callable[[Exception], float | None] | None = field(default=None)

    def __post_init__(self) -> None:
        for name, value, least in (
            ("max_attempts", self.max_attempts, 1),
            ("backoff", self.backoff, 1),
            ("first", self.first, 0),
            ("maximum", self.maximum, 0),
        ):
            if not value >= least:
                raise ConfigurationError(f"RetryPolicy({name}={value!r}): must be {least} or more.")

    def decide(self, error: Exception, attempt: int, *, draw: Jitter = random.random) -> Outcome:
        """The outcome of the `attempt`-th attempt (1-based) that ended with `error`."""
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
                return RetryAfter(error.after, told)
            case _:
                return RetryAfter(self._delay(error, attempt, draw), told)

    def wait_after(self, attempt: int) -> float:
        """Seconds between the `attempt`-th failure and the next attempt, without jitter."""
        try:
            return min(self.maximum, self.first * self.backoff ** (attempt - 1))
        except OverflowError:
            return self.maximum

    def _deserves_retry(self, error: Exception) -> bool:
        if isinstance(error, RetryLater):
            return True
        return isinstance(error, self.retry_on) and not isinstance(error, self.give_up_on)

    def _delay(self, error: Exception, attempt: int, draw: Jitter) -> float:
        told = self.delay_for(error) if self.delay_for is not None else None
        if told is not None:
            return max(0.0, told)
        wait = self.wait_after(attempt)
        return wait * (1 + 0.5 * draw()) if self.jitter else wait
