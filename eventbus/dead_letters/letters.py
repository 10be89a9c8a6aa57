"""The dead letters of one subscription, as an object."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Final

from eventbus.clock import Clock, SystemClock
from eventbus.dead_letters.audit import AuditLog
from eventbus.dead_letters.editing import Correction
from eventbus.dead_letters.identity import digest_of, id_of
from eventbus.dead_letters.moving import Act, Move, Moved, Progress, silent
from eventbus.dead_letters.redriving import Redrive
from eventbus.dead_letters.selection import EVERYTHING, Selection
from eventbus.errors import ConfigurationError, EventBusError, SendFailed
from eventbus.pace import Pace
from eventbus.transport import DeadLetterEntry, QueueStats, Transport

_ALL: Final = 2**31


class DeadLetters:
    """Of the subscription whose queue is `queue`, such as `payment.charge_order`.

    `timeout`: seconds for the confirm of one batch of copies. Every method raises `TopologyError` where there
    is no such subscription, and `BrokerUnreachable` where there is no broker.
    """

    def __init__(
        self, transport: Transport, queue: str, *, clock: Clock | None = None, timeout: float = 10.0
    ) -> None:
        self.queue = queue
        self._transport = transport
        self._clock = clock or SystemClock()
        self._timeout = timeout

    async def stats(self) -> QueueStats:
        """How many there are, and how many others take from them at this moment."""
        (stats,) = await self._transport.stats([self.queue])
        return stats

    async def look(
        self, selection: Selection = EVERYTHING, *, seen: Callable[[int], None] | None = None
    ) -> AsyncGenerator[Sequence[DeadLetterEntry]]:
        """Those selected, the oldest first, in batches that may be empty; to be closed, as by `aclosing`.

        `seen` hears how many were looked at so far. What others hold does not come.
        """
        count = 0
        async with aclosing(self._transport.browse(self.queue, limit=_ALL)) as batches:
            async for batch in batches:
                count += len(batch)
                if seen is not None:
                    seen(count)
                yield [entry for entry in batch if entry in selection]

    async def find(self, id: str) -> DeadLetterEntry | None:
        """The oldest one of this id."""
        async with aclosing(self.look(Selection(ids=frozenset({id})))) as batches:
            async for batch in batches:
                if batch:
                    return batch[0]
        return None

    async def redrive(
        self,
        selection: Selection = EVERYTHING,
        *,
        limit: int | None = None,
        rate: float | None = None,
        progress: Progress = silent,
    ) -> Moved:
        """Send those selected to this subscription's queue again, the oldest first: the same event, anew.

        Each copy is confirmed before its dead letter is acked, so that a crash loses none; at worst one is in
        both places, under the same event_id. `rate`: at most so many a second.
        """
        act = Redrive(self._transport, self.queue, self._timeout)
        return await self._move(act, selection, limit, rate, progress)

    async def discard(
        self,
        selection: Selection = EVERYTHING,
        *,
        why: str,
        audit: AuditLog,
        limit: int | None = None,
        rate: float | None = None,
        progress: Progress = silent,
    ) -> Moved:
        """Remove those selected for good, each after its line in the audit log.

        Where that takes no more, the others stay: `Moved.stopped` says why.
        """

        async def act(entries: Sequence[DeadLetterEntry]) -> Sequence[EventBusError | None]:
            try:
                if entries:
                    await audit.write("discard", self.queue, entries, why)
            except ConfigurationError as error:
                return [error] * len(entries)
            return [None] * len(entries)

        return await self._move(act, selection, limit, rate, progress)

    async def replace(self, correction: Correction, *, why: str, audit: AuditLog) -> Moved:
        """Send a correction to this subscription alone, confirmed, and then remove its dead letter.

        `Moved.done` is 0 where the dead letter is not there any more: then nothing was sent.
        """
        original = correction.original.message
        wanted = digest_of(original)

        async def act(entries: Sequence[DeadLetterEntry]) -> Sequence[EventBusError | None]:
            if not entries:
                return []
            (entry,) = entries
            if digest_of(entry.message) != wanted:
                return [EventBusError("another dead letter of the same id: it was left as it is.")]
            await audit.write("edit-and-redrive", self.queue, entries, why, new_event_id=correction.event_id)
            try:
                await self._transport.send([correction.message], timeout=self._timeout)
            except SendFailed as error:
                return [error]
            return [None]

        only = Selection(ids=frozenset({id_of(original)}))
        move = Move(
            self._transport,
            self.queue,
            act,
            pace=Pace(None, self._clock, batch=1),
            clock=self._clock,
            progress=silent,
        )
        return await move.run(only, None)

    async def _move(
        self, act: Act, selection: Selection, limit: int | None, rate: float | None, progress: Progress
    ) -> Moved:
        pace = Pace(rate, self._clock)
        move = Move(self._transport, self.queue, act, pace=pace, clock=self._clock, progress=progress)
        return await move.run(selection, limit)
