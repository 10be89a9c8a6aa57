"""A dead letter goes to its own subscription's queue again, and to no other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from eventbus.errors import EventBusError, InvalidEvent, SendFailed, SendFate
from eventbus.headers import for_redrive
from eventbus.transport import DeadLetterEntry, Message, Transport


def redriven(message: Message, queue: str) -> Message:
    """The same bytes, event_id and routing key; its attempts start anew."""
    return replace(message, queue=message.queue or queue, headers=for_redrive(message.headers))


class Redrive:
    """Sends copies. Each is confirmed by the broker before the dead letter may go."""

    def __init__(self, transport: Transport, queue: str, timeout: float) -> None:
        self._transport = transport
        self._queue = queue
        self._timeout = timeout

    async def __call__(self, entries: Sequence[DeadLetterEntry]) -> Sequence[EventBusError | None]:
        if not entries:
            return []
        copies = [redriven(entry.message, self._queue) for entry in entries]
        try:
            await self._transport.send(copies, timeout=self._timeout)
        except InvalidEvent as error:  # nothing of the call was sent; now find the one that cannot travel
            if len(entries) == 1:
                return [error]
            return [(await self([entry]))[0] for entry in entries]
        except SendFailed as error:
            fates = error.fates or [SendFate.NOT_SENT] * len(entries)
            return [None if fate is SendFate.CONFIRMED else error for fate in fates]
        return [None] * len(entries)
