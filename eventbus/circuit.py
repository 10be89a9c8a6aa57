"""Pauses a subscription while what its handler depends on is away, so that no event uses up its attempts.

Its events wait in the queue meanwhile. One at a time is let through as a probe, after growing pauses; the
first that succeeds lets all others through again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from eventbus.once import Ended, Readable
from eventbus.outcome import ACK, Ack
from eventbus.waiting import stopped

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 15.0
"""Seconds between two probes."""
LONGEST_HOLD: Final = 600.0
"""Seconds until an event that waits here is retried by its policy after all: RabbitMQ takes a delivery back
from a consumer that holds it for half an hour, what waits behind others in the prefetch included."""

Handle = Callable[[Sequence[Readable]], Awaitable[list[Ended]]]


class Circuit:
    """Opens when `threshold` different events in a row failed because something was away; 0: never."""

    def __init__(
        self,
        threshold: int,
        log: FilteringBoundLogger,
        *,
        first_pause: float = FIRST_PAUSE,
        longest_hold: float = LONGEST_HOLD,
    ) -> None:
        self._threshold = threshold
        self._longest_hold = longest_hold
        self._first_pause = self._pause = first_pause
        self._log = log
        self._failing: set[str] = set()
        self.is_open = False
        """To be read: whether what is handled goes through `run`."""
        self._probing = asyncio.Lock()
        self._stopped = asyncio.Event()

    def lets_pass(self, outcomes: Sequence[Ended]) -> bool:
        """Whether these stand; if not, `run` is next. To be told of every run while it is closed."""
        if not self._failing and outcomes and outcomes[0].outcome is ACK:
            return True  # as nearly all end
        self._learn(outcomes, is_probe=False)
        return not (self.is_open and _away(outcomes))

    async def run(
        self, handle: Handle, readable: Sequence[Readable], outcomes: list[Ended], *, since: float
    ) -> list[Ended]:
        """Handle them while the circuit is open. Empty when stopped before there was an outcome.

        `outcomes`: of a first run, which it did not let pass; empty where there was none. `since`: when they
        were taken, by the loop's clock; what waits for its turn for too long is not handled again, unless it
        never was.
        """
        held_until = since + self._longest_hold
        while True:
            async with self._turn(held_until) as is_probe:
                if self._stopped.is_set() and self.is_open:
                    return []
                if outcomes and self.is_open and not is_probe:
                    return outcomes
                outcomes = await handle(readable)
                self._learn(outcomes, is_probe=is_probe)
            if not (self.is_open and _away(outcomes)):
                return outcomes
            if asyncio.get_running_loop().time() > held_until:
                return outcomes

    def stop(self) -> None:
        """Let go of what waits here; it goes back to the queue."""
        self._stopped.set()

    @asynccontextmanager
    async def _turn(self, until: float) -> AsyncGenerator[bool]:
        """At once while closed; else one by one, each a probe after a pause, until one has succeeded.

        Not as a probe for whoever has not had its turn by then.
        """
        if self.is_open and await self._may_probe(until):
            try:
                if self.is_open:
                    await stopped(self._stopped, within=self._pause)
                    yield True
                    return
            finally:
                self._probing.release()
        yield False

    async def _may_probe(self, until: float) -> bool:
        try:
            async with asyncio.timeout_at(until):
                return await self._probing.acquire()
        except TimeoutError:
            return False

    def _learn(self, outcomes: Sequence[Ended], *, is_probe: bool) -> None:
        for _, outcome, _ in outcomes:
            if isinstance(outcome, Ack):
                self._close()
                return
        if self._threshold and (away := _away(outcomes)):
            self._failing |= away
            if is_probe:
                self._pause = min(2 * self._pause, LONGEST_PAUSE)
            elif not self.is_open and len(self._failing) >= self._threshold:
                self._open(outcomes)

    def _open(self, outcomes: Sequence[Ended]) -> None:
        self.is_open = True
        error = next(outcome.error for _, outcome, _ in outcomes if not isinstance(outcome, Ack))
        self._log.error(
            "subscription.paused",
            failed_in_a_row=len(self._failing),
            error=error,
            advice="what the handler depends on seems to be away; its events wait and keep their attempts",
        )

    def _close(self) -> None:
        self._failing.clear()
        if self.is_open:
            self.is_open = False
            self._pause = self._first_pause
            self._log.warning("subscription.resumed")


def _away(outcomes: Sequence[Ended]) -> set[str]:
    """The events that failed because something was away."""
    return {
        delivery.message.event_id or str(id(delivery))
        for delivery, outcome, _ in outcomes
        if not isinstance(outcome, Ack) and outcome.away
    }
