"""Consuming from one queue: claim what is ready, hand it over, settle it, and begin anew after any loss."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from math import ceil
from types import TracebackType
from typing import Final, Self, assert_never

from eventbus import headers
from eventbus.embedded import queueing
from eventbus.embedded.engine import Engine
from eventbus.embedded.queueing import ANY_NUMBER, Claim, Claimed, Settlement
from eventbus.embedded.routing import DEAD_SUFFIX
from eventbus.embedded.transaction import Transaction, WriteFailed
from eventbus.errors import BrokerUnreachable
from eventbus.logs import get_logger
from eventbus.outcome import Ack, DeadLetter, Outcome, RetryAfter
from eventbus.record import unpack
from eventbus.transport import Delivery

_PAUSE_AFTER_TROUBLE: Final = 1.0
_MOST_AT_ONCE: Final = 1000
"""Deliveries of one claim: a large prefetch must not bring everything into memory at one time."""


@dataclass(frozen=True, slots=True, eq=False)
class Lease:
    """The tag of a delivery: one hand-over, compared by identity."""

    id: int


class EmbeddedConsumption:
    """A `Consumption`: see the port. Iterate it from one task; settle from any."""

    def __init__(self, engine: Engine, queue: str, prefetch: int) -> None:
        if prefetch < 1:
            raise ValueError(f"prefetch={prefetch}: how many deliveries may be in flight, from 1 up")
        self.losses = 0
        self._engine = engine
        self._queue = queue
        self._prefetch = prefetch
        self._held: dict[int, Lease] = {}
        self._settling = 0
        self._strays: list[int] = []
        """What could not be settled: given back to the queue before the next claim."""
        self._claiming: asyncio.Future[Claim | None] | None = None
        self._stopped = False
        # To look at a dead letter again and again kills nobody.
        self._careful_after = ANY_NUMBER if queue.endswith(DEAD_SUFFIX) else engine.options.careful_after
        self._stack = ExitStack()
        self._log = get_logger("eventbus.embedded").bind(queue=queue)

    async def __aenter__(self) -> Self:
        """Raises `TopologyError` where there is no such queue."""
        self._registered = await self._engine.register(self._queue)
        self._bell = self._stack.enter_context(self._engine.watch.bell(self._registered.queue))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped = True
        self._stack.close()
        handed_over = [*self._held, *self._strays]
        self._held.clear()
        await self._engine.leave(self._registered, handed_over)

    def __aiter__(self) -> AsyncIterator[Sequence[Delivery]]:
        return self

    async def __anext__(self) -> Sequence[Delivery]:
        while not self._over:
            self._bell.silence()
            free = self._prefetch - len(self._held) - self._settling
            if free > 0 and (batch := await self._take(min(free, _MOST_AT_ONCE))):
                return batch
            await self._bell.wait()
        raise StopAsyncIteration

    async def stop(self) -> None:
        """What was claimed and not handed over goes back at once."""
        self._stopped = True
        self._stack.close()
        self._bell.ring()
        if self._engine.closed:
            return
        registered, kept = self._registered, [*self._held, *self._strays]
        try:
            await self._engine.run(lambda transaction: queueing.give_back(transaction, registered, kept=kept))
        except BrokerUnreachable as error:
            self._log.warning("consumption.stop_failed", error=str(error))

    async def settle(self, outcomes: Sequence[tuple[Delivery, Outcome]]) -> None:
        settlement = self._settlement(outcomes)
        numbers = settlement.numbers()
        if not numbers or self._engine.closed:
            return
        registered = self._registered
        settling = self._engine.writer.submit(
            lambda transaction: queueing.settle(transaction, registered, settlement), rows=len(numbers)
        )
        self._settling += len(numbers)
        settling.future.add_done_callback(lambda ended: self._settled(ended, numbers))
        try:
            await asyncio.shield(settling.future)
        except WriteFailed as error:
            self._log.warning("settle.failed", deliveries=len(numbers), error=error.problem)

    @property
    def _over(self) -> bool:
        return self._stopped or self._engine.closed

    async def _take(self, limit: int) -> list[Delivery]:
        """Nothing where there is nothing, and where something went wrong: then the bell rings again."""
        if self._claiming is None:
            self._claiming = self._claim(limit)
        try:
            # Where this task is cancelled the claim goes on: what it brings is handed over the next time.
            claim = await asyncio.shield(self._claiming)
        except WriteFailed as error:
            self._claiming = None
            await self._recover("claim.failed", error.problem)
            return []
        self._claiming = None
        if claim is None:
            await self._begin_anew()
            return []
        self._bell.rings_for_all = claim.held_back
        return [] if self._over else [self._hand_over(each) for each in claim.deliveries]

    def _claim(self, limit: int) -> asyncio.Future[Claim | None]:
        registered, strays = self._registered, self._strays
        self._strays = []
        careful_after = self._careful_after

        def claim(transaction: Transaction) -> Claim | None:
            return queueing.claim(transaction, registered, limit, strays=strays, careful_after=careful_after)

        claiming = self._engine.writer.submit(claim, rows=limit).future
        claiming.add_done_callback(lambda ended: self._keep_strays(ended, strays))
        return claiming

    def _hand_over(self, claimed: Claimed) -> Delivery:
        lease = self._held[claimed.id] = Lease(claimed.id)
        message = unpack(claimed.properties, claimed.body)
        return Delivery(
            message=message,
            queue=self._queue,
            attempt=headers.attempt(message.headers),
            redelivered=claimed.handovers_before > 0,
            tag=lease,
        )

    async def _begin_anew(self) -> None:
        """Others took this process for dead: they handle what it held, and it starts with empty hands."""
        self._log.warning("lease.lost", deliveries=len(self._held))
        self._held.clear()
        self.losses += 1
        try:
            self._registered = await self._engine.register(self._queue)
        except BrokerUnreachable as error:
            await self._recover("register.failed", str(error))
        self._bell.ring()

    async def _recover(self, action: str, problem: str) -> None:
        if not self._over:
            self._log.warning(action, problem=problem)
            await asyncio.sleep(_PAUSE_AFTER_TROUBLE)
        self._bell.ring()

    def _settlement(self, outcomes: Sequence[tuple[Delivery, Outcome]]) -> Settlement:
        """Of what is still held here; a lease is used up by the first outcome."""
        settlement = Settlement()
        now = self._engine.clock.now()
        for delivery, outcome in outcomes:
            lease = delivery.tag
            if not isinstance(lease, Lease) or self._held.get(lease.id) is not lease:
                continue
            del self._held[lease.id]
            match outcome:
                case Ack():
                    settlement.acks.append(lease.id)
                case RetryAfter(delay=delay, error=error):
                    microseconds = ceil(delay * 1_000_000) if delay > 0 else 0
                    settlement.retries.append(
                        queueing.retry(lease.id, delivery.message, error, now=now, delay=microseconds)
                    )
                case DeadLetter(reason=reason, error=error):
                    settlement.dead.append(queueing.bury(lease.id, delivery.message, reason, error, now))
                case _:
                    assert_never(outcome)
        return settlement

    def _settled(self, ended: asyncio.Future[None], numbers: Sequence[int]) -> None:
        self._settling -= len(numbers)
        if ended.cancelled() or ended.exception() is not None:
            self._strays += numbers
            self.losses += 1
        self._bell.ring()

    def _keep_strays(self, ended: asyncio.Future[Claim | None], strays: Sequence[int]) -> None:
        if ended.cancelled() or ended.exception() is not None:
            self._strays += strays
