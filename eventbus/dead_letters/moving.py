"""Takes dead letters in hand: those selected are acted on and acked, the others go back in their order."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from eventbus.clock import Clock
from eventbus.dead_letters.identity import digest_of, id_of
from eventbus.dead_letters.selection import Selection
from eventbus.errors import BrokerUnreachable, ConfigurationError, EventBusError, SendFailed
from eventbus.outcome import Ack
from eventbus.pace import Pace
from eventbus.transport import Consumption, DeadLetterEntry, Delivery, QueueStats, Transport

EVERYTHING_AT_ONCE: Final = 65_535
"""The largest prefetch there is. With less, what is given back on a quorum queue would come after what was
never handed out; with all of them in hand the order stays, even where this process is killed."""
QUIET: Final = 2.0
"""Seconds without another one, after which somebody else holds what is missing, if the broker answers."""
_HOLD: Final = timedelta(minutes=10)
"""So long at a time; the broker takes away what is held for half an hour."""
_MOMENT: Final = 0.02
_LOOKS: Final = 3
"""So often it looks for what came back with a lost connection."""

Act = Callable[[Sequence[DeadLetterEntry]], Awaitable[Sequence[EventBusError | None]]]
"""For each None when it is done and the dead letter may go, else why it stays."""


@dataclass(slots=True)
class Moved:
    """How far it has come, and at the end what became of it."""

    done: int = 0
    """These are gone from the broker."""
    unsure: int = 0
    """So many more were carried out, and may still be there: the connection was lost before it was known."""
    seen: int = 0
    """Of the dead letters that were there when it began."""
    missing: int = 0
    """So many of these were never handed over: another consumer holds them, or there are more than 65 535."""
    others: int = 0
    """So many took from the same dead letters when it began. What they held may be counted nowhere, and
    therefore not in `missing` either."""
    consumers: int = 0
    """How many took from the subscription's own queue when it began."""
    failures: list[tuple[str, EventBusError]] = field(default_factory=list[tuple[str, EventBusError]])
    """Those that stay, by their id, and why."""
    stopped: EventBusError | None = None
    """What ended it before its end; what is left was not touched."""
    ids: set[str] = field(default_factory=set[str])
    """Of those selected."""

    @property
    def tried(self) -> int:
        return self.done + len(self.failures)


Progress = Callable[[Moved], None]


def silent(_: Moved) -> None:
    """Tell nobody."""


class Move:
    """One run over the dead letters of one subscription.

    Bounded by what lies there when it begins: an event that fails again meanwhile is not taken again.
    """

    def __init__(
        self, transport: Transport, queue: str, act: Act, *, pace: Pace, clock: Clock, progress: Progress
    ) -> None:
        self._transport = transport
        self._queue = queue
        self._act = act
        self._pace = pace
        self._clock = clock
        self._progress = progress
        self._moved = Moved()
        self._gone: set[bytes] = set()
        """Done in this run: one that comes again had its ack lost with its connection."""
        self._unsure: set[bytes] = set()
        """Of these, what is not known to be settled."""
        self._staying: set[bytes] = set()
        """Tried in this run, in vain."""

    async def run(self, selection: Selection, limit: int | None) -> Moved:
        """Raises `TopologyError` for an unknown subscription, `BrokerUnreachable` without a broker.

        A broker that goes away when something is done already ends it: `Moved.stopped`.
        """
        moved = self._moved
        before = await self._stats()
        lying, moved.others, moved.consumers = before.dead, before.dead_consumers, before.consumers
        is_over = False
        try:
            while not is_over:
                is_over = await self._pass(selection, limit, lying)
                await self._settle_again(lying)
                is_over = is_over or bool(self._unsure)
                await self._back_in_queue(lying - moved.done - moved.missing)
        except BrokerUnreachable as error:
            if not moved.tried:
                raise
            moved.stopped = error
        moved.unsure = len(self._unsure)
        moved.done -= moved.unsure
        return moved

    async def _pass(self, selection: Selection, limit: int | None, lying: int) -> bool:
        """From the oldest that is left. Whether it was the last; else they were held for long enough."""
        async with self._consume() as consumption:
            is_last = await self._go_through(consumption, selection, limit, lying)
        if not consumption.losses:
            self._unsure.clear()
        return is_last

    async def _go_through(
        self, consumption: Consumption, selection: Selection, limit: int | None, lying: int
    ) -> bool:
        moved = self._moved
        before, ends = moved.done, self._clock.now() + _HOLD
        met: set[bytes] = set()
        again = 0
        while before + len(met) < lying and not self._is_over(limit):
            if (batch := await self._next(consumption)) is None:
                twins = 0 if consumption.losses else again
                moved.missing = max(0, lying - before - len(met) - twins)
                return True
            met_before = len(met)
            batch = _first_met(batch, met, lying - before)
            again += len(batch) - (len(met) - met_before)
            for some in self._chosen(batch, selection, limit):
                await self._carry_out(consumption, some)
                if self._is_over(limit):
                    return True
                if self._clock.now() >= ends:
                    return False
            moved.seen = max(moved.seen, before + len(met))
            self._progress(moved)
        return True

    async def _settle_again(self, lying: int) -> None:
        """Ack what was carried out and came back with a lost connection; it is not carried out again."""
        for _ in range(_LOOKS):
            if not self._unsure:
                return
            met: set[bytes] = set()
            async with self._consume() as consumption:
                while not self._unsure <= met and len(met) < lying:
                    if (batch := await self._next(consumption)) is None:
                        break
                    met.update(digest_of(each.message) for each in batch)
                    back = [each for each in batch if digest_of(each.message) in self._unsure]
                    await consumption.settle([(each, Ack()) for each in back])
                # The broker may not have noticed the loss: then the lost connection is one of these others.
                others_hold_some = len(met) < lying and (await self._stats()).dead_consumers > 1
            if not consumption.losses:
                self._unsure = self._unsure - met if others_hold_some else set()

    def _consume(self) -> AbstractAsyncContextManager[Consumption]:
        return self._transport.consume(f"{self._queue}.dead", prefetch=EVERYTHING_AT_ONCE)

    async def _next(self, consumption: Consumption) -> Sequence[Delivery] | None:
        """None when nothing comes any more though the broker answers. Raises `BrokerUnreachable`."""
        if (batch := await _within(QUIET, consumption)) is None:
            await self._stats()  # a network that has fallen silent is as quiet
            batch = await _within(QUIET if consumption.losses else _MOMENT, consumption)
        return batch

    def _is_over(self, limit: int | None) -> bool:
        return self._moved.stopped is not None or (limit is not None and self._moved.tried >= limit)

    def _chosen(
        self, batch: Sequence[Delivery], selection: Selection, limit: int | None
    ) -> Iterator[Sequence[Delivery]]:
        """Those to act on, as many at a time as may go together."""
        chosen = [
            delivery
            for delivery in batch
            if DeadLetterEntry.of(delivery.message) in selection
            and digest_of(delivery.message) not in self._staying
        ]
        if limit is not None:
            chosen = chosen[: limit - self._moved.tried]
        for begin in range(0, len(chosen), self._pace.batch):
            yield chosen[begin : begin + self._pace.batch]

    async def _carry_out(self, consumption: Consumption, deliveries: Sequence[Delivery]) -> None:
        moved = self._moved
        fresh = [each for each in deliveries if digest_of(each.message) not in self._gone]
        await self._pace.wait(len(fresh))
        moved.ids.update(id_of(delivery.message) for delivery in fresh)
        errors = await self._act([DeadLetterEntry.of(delivery.message) for delivery in fresh])
        acks = [each for each in deliveries if digest_of(each.message) in self._gone]
        for delivery, error in zip(fresh, errors, strict=True):
            if error is None:
                acks.append(delivery)
                digest = digest_of(delivery.message)
                self._gone.add(digest)
                self._unsure.add(digest)
                moved.done += 1
                continue
            self._staying.add(digest_of(delivery.message))
            moved.failures.append((id_of(delivery.message), error))
            if isinstance(error, SendFailed | ConfigurationError):
                moved.stopped = error
        await consumption.settle([(delivery, Ack()) for delivery in acks])
        moved.seen = max(moved.seen, moved.done)
        self._progress(moved)

    async def _stats(self) -> QueueStats:
        (stats,) = await self._transport.stats([self._queue])
        return stats

    async def _back_in_queue(self, count: int) -> None:
        """What was given back is there a moment later; whoever looks next shall find it."""
        try:
            async with asyncio.timeout(QUIET):
                while (await self._stats()).dead < count:  # noqa: ASYNC110  no transport sends word of it
                    await asyncio.sleep(_MOMENT)
        except (TimeoutError, EventBusError):
            return  # somebody else has taken some, or nobody can look now


def _first_met(batch: Sequence[Delivery], met: set[bytes], most: int) -> Sequence[Delivery]:
    """Without what is more than lay there: it lies behind that, and has failed again meanwhile."""
    taken: list[Delivery] = []
    for delivery in batch:
        digest = digest_of(delivery.message)
        if digest in met or len(met) < most:
            met.add(digest)
            taken.append(delivery)
    return taken


async def _within(seconds: float, consumption: Consumption) -> Sequence[Delivery] | None:
    try:
        async with asyncio.timeout(seconds):
            return await anext(aiter(consumption), None)
    except TimeoutError:
        return None
