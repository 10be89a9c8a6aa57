"""What of the history failed goes on from its subscription's queue, or from its dead letters."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from eventbus.clock import Clock
from eventbus.errors import InvalidEvent, SendFailed, describe, shorten
from eventbus.headers import NO_HEADERS, for_dead_letter, for_retry
from eventbus.logs import get_logger
from eventbus.outcome import Ack, DeadLetter, Outcome, RetryAfter
from eventbus.transport import Message, Transport
from eventbus.waiting import stopped

_TIMEOUT: Final = 10.0
"""Seconds for one try."""
_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 30.0
_LONGEST_ERROR: Final = 500
_NO_PROPERTIES: Final[dict[str, Any]] = {
    "event_id": None,
    "event_type": None,
    "content_type": None,
    "source": None,
    "correlation_id": None,
}


class Copies:
    """Sends them until the broker has them."""

    def __init__(self, transport: Transport, queue: str, clock: Clock) -> None:
        self._transport = transport
        self._queue = queue
        self._clock = clock
        self._stopping = asyncio.Event()
        self._log = get_logger("eventbus.catchup").bind(subscription=queue)

    def stop(self) -> None:
        """From now on each is tried once, and nothing waits for another try."""
        self._stopping.set()

    async def send(self, ended: Sequence[tuple[Message, Outcome]]) -> bool:
        """Whether the broker has them all; only after `stop` it may not."""
        copies = [copy for message, outcome in ended if (copy := self._copy(message, outcome)) is not None]
        pause = _FIRST_PAUSE
        while True:
            try:
                await self._transport.send(copies, timeout=_TIMEOUT)
            except SendFailed as error:
                self._log.warning("copy.failed", events=len(copies), error=describe(error))
                if self._stopping.is_set():
                    return False
                await stopped(self._stopping, within=pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
            except InvalidEvent as error:
                return await self._less(ended, error)
            else:
                return True

    async def _less(self, ended: Sequence[tuple[Message, Outcome]], error: InvalidEvent) -> bool:
        """Nothing was sent: what a stranger wrote beside the body of one of them cannot be written again.

        Its headers are left out, and then its properties, of which each was read from any bytes there were.
        """
        if len(ended) > 1:
            return all([await self.send([each]) for each in ended])
        ((message, outcome),) = ended
        event_id = shorten(message.event_id or "")
        if message.headers:
            self._log.error("copy.without_headers", error=describe(error), event_id=event_id)
            return await self.send([(replace(message, headers=NO_HEADERS), outcome)])
        if (bare := replace(message, **_NO_PROPERTIES)) == message:
            raise error
        self._log.error("copy.without_properties", error=describe(error), event_id=event_id)
        return await self.send([(bare, outcome)])

    def _copy(self, message: Message, outcome: Outcome) -> Message | None:
        now = self._clock.now()
        match outcome:
            case RetryAfter(delay=delay, error=error):
                told = for_retry(message.headers, message.routing_key, shorten(error, _LONGEST_ERROR), now)
                return replace(message, headers=told, queue=self._queue, delay=delay)
            case DeadLetter(reason=reason, error=error):
                told = for_dead_letter(
                    message.headers, message.routing_key, reason, shorten(error, _LONGEST_ERROR), now
                )
                return replace(message, headers=told, queue=f"{self._queue}.dead")
            case Ack():
                return None
