"""Runs one subscription: takes deliveries, handles them side by side, and settles their outcomes together."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from functools import partial
from typing import Final

from eventbus.catchup import CatchUp
from eventbus.circuit import Circuit
from eventbus.errors import BrokerUnreachable, TopologyError, describe
from eventbus.handling_time import longest_pause
from eventbus.logs import get_logger
from eventbus.once import Settled
from eventbus.outcome import Ack
from eventbus.pipeline import Pipeline
from eventbus.service import Member
from eventbus.store import StoreUnavailable
from eventbus.transport import Consumption, Delivery, Topology, Transport

PAUSE_AFTER_TROUBLE: Final = 1.0
"""Seconds before a subscription whose consuming failed begins anew."""
MOMENT: Final = 0.002
"""Seconds from one settling to the next: where handlers end one by one, each would cost a send of its own."""
LONGEST_PAUSE: Final = 30.0
"""The same while the broker refuses its queue: each is twice the one before, up to this."""
_WOKEN: Final = 2
"""Workers that are woken at a time. Each wakes as many more while there is something left to do: where
handlers wait, all have work soon; where they never do, one worker does it all, and the others sleep on."""

Declare = Callable[[Topology], Awaitable[None]]


class Subscriber:
    """One subscription in one process. Its trouble is its own: it logs, pauses and begins anew."""

    def __init__(
        self,
        member: Member,
        pipeline: Pipeline,
        transport: Transport,
        *,
        pause_after: int = 0,
        declare: Declare | None = None,
        catch_up: CatchUp | None = None,
    ) -> None:
        """`declare`: where its queue is still to be declared. `catch_up`: where it begins in the past."""
        self.member = member
        self.ready = asyncio.Event()
        """Set while events are handed over to it, from the history or from its queue."""
        self.live = asyncio.Event()
        """Set when events come from its queue for the first time: the past is over."""
        self.tried = asyncio.Event()
        """Set when the broker has handed over to it once, or has said why it never will."""
        self._declare = declare
        self._catch_up = catch_up
        self._pause_length = PAUSE_AFTER_TROUBLE
        self._trouble = ""
        self._pipeline = pipeline
        self._transport = transport
        self._stopping = asyncio.Event()
        self._consumption: Consumption | None = None
        self._log = get_logger("eventbus.subscriber").bind(service=member.service, subscription=member.queue)
        hold = longest_pause(member.subscription, transport.handling_limit)
        self._circuit = Circuit(pause_after, self._log, longest_hold=hold)

    async def run(self) -> None:
        """Consume until `stop`; returns when every handler that had begun has ended and is settled."""
        while not self._stopping.is_set():
            try:
                if self._declare is not None:
                    await self._declare(Topology((self.member.spec,)))
                await self._live_through_the_past()
                prefetch = self.member.subscription.prefetch
                await self._consume(self._transport.consume(self.member.queue, prefetch=prefetch))
            except (TopologyError, BrokerUnreachable, StoreUnavailable) as error:
                self._refused(error)
                await self._pause()
            except Exception as error:  # noqa: BLE001 -- one subscription's trouble never stops the others
                self._log.exception("subscription.failed", error=describe(error))
                await self._pause()

    async def stop(self) -> None:
        """Take no more deliveries; what waits unhandled goes back to the queue."""
        self._stopping.set()
        self._circuit.stop()
        self._pipeline.stop()
        if self._consumption is not None:
            await self._consumption.stop()

    async def _live_through_the_past(self) -> None:
        """Handle what was published before this subscription existed, unless that is done."""
        if (catch_up := self._catch_up) is None or catch_up.has_ended:
            return
        self.tried.set()
        self.ready.set()  # it waits for its turn, where another process does this
        try:
            if await catch_up.is_due(self._stopping):
                await self._consume(catch_up.consuming(prefetch=self.member.subscription.prefetch))
        finally:
            self.ready.clear()

    async def _consume(self, source: AbstractAsyncContextManager[Consumption]) -> None:
        subscription = self.member.subscription
        async with AsyncExitStack() as stack:
            consumption = await stack.enter_async_context(source)
            self._consumption = consumption
            settling = Settling(consumption)
            intake = (
                Intake(size=batch.size, within=batch.within) if (batch := subscription.batch) else Intake()
            )
            if self._stopping.is_set():
                return
            self._pause_length, self._trouble = PAUSE_AFTER_TROUBLE, ""
            self.tried.set()
            self.ready.set()
            if self._catch_up is None or self._catch_up.has_ended:
                self.live.set()
            stack.callback(self.ready.clear)
            async with asyncio.TaskGroup() as group:
                for _ in range(subscription.concurrency):
                    group.create_task(self._work(intake, settling), name=self.member.queue)
                async for deliveries in consumption:
                    intake.put(deliveries)
                intake.close()
            await settling.finished()

    async def _work(self, intake: Intake, settling: Settling) -> None:
        while deliveries := await intake.take():
            settling.add(await self._circuit.run(partial(self._pipeline.process, deliveries)))

    def _refused(self, error: TopologyError | BrokerUnreachable | StoreUnavailable) -> None:
        """Said once, however often it is tried again."""
        trouble = describe(error)
        if trouble != self._trouble:
            self._log.error("subscription.failed", error=trouble)
        elif isinstance(error, TopologyError):
            self._pause_length = min(2 * self._pause_length, LONGEST_PAUSE)
        self._trouble = trouble
        if isinstance(error, TopologyError):
            self.tried.set()

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(self._pause_length):
                await self._stopping.wait()
        except TimeoutError:
            return


class Intake:
    """Deliveries on their way to the handlers, given out in helpings of at most `size`.

    A helping is complete when it is full, or `within` seconds after its first delivery came. A delivery that
    has failed before is given out alone, so that it cannot fail others a second time.
    """

    def __init__(self, *, size: int = 1, within: float = 0.0) -> None:
        self._size = size
        self._within = within
        self._waiting: deque[Delivery] = deque()
        self._idle: deque[asyncio.Future[None]] = deque()
        """Of the workers that wait for something to do."""
        self._turn = asyncio.Lock()
        self._kept: Delivery | None = None
        """Came while a helping was being filled, and does not belong in one."""
        self._closed = False

    def put(self, deliveries: Sequence[Delivery]) -> None:
        self._waiting.extend(deliveries)
        self._wake(min(_WOKEN, len(deliveries)))

    def close(self) -> None:
        """Whoever takes gets nothing any more; what waits is dropped, and comes back to the queue."""
        self._closed = True
        self._wake(len(self._idle))

    async def take(self) -> list[Delivery]:
        """The next helping; empty when closed."""
        if self._size == 1:
            is_there = self._waiting and not self._closed
            first = self._waiting.popleft() if is_there else await self._next()
            return [first] if first is not None else []
        async with self._turn:  # one worker fills one helping at a time, so that they get full
            first, self._kept = self._kept or await self._next(), None
            if first is None or self._closed:
                return []
            return [first] if first.attempt > 1 else await self._fill([first])

    async def _fill(self, helping: list[Delivery]) -> list[Delivery]:
        try:
            async with asyncio.timeout(self._within):
                while len(helping) < self._size:
                    if (delivery := await self._next()) is None:
                        return []
                    if delivery.attempt > 1:
                        self._kept = delivery
                        break
                    helping.append(delivery)
        except TimeoutError:
            pass
        return helping

    async def _next(self) -> Delivery | None:
        while not self._closed:
            if self._waiting:
                return self._waiting.popleft()
            woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._idle.append(woken)
            try:
                await woken
            except asyncio.CancelledError:
                if not woken.cancelled():
                    self._wake(1)  # what it was woken for is another's
                raise
            self._wake(min(_WOKEN, len(self._waiting) - 1))
        return None

    def _wake(self, count: int) -> None:
        while count > 0 and self._idle:
            woken = self._idle.popleft()
            if not woken.done():
                woken.set_result(None)
                count -= 1


class Settling:
    """Collects outcomes and settles those of one moment together; acks never wait for copies."""

    def __init__(self, consumption: Consumption) -> None:
        self._consumption = consumption
        self._acks: list[Settled] = []
        self._others: list[Settled] = []
        self._running: set[asyncio.Task[None]] = set()
        self._scheduled = False
        self._flushed_at = 0.0

    def add(self, outcomes: Sequence[Settled]) -> None:
        for settled in outcomes:
            (self._acks if isinstance(settled[1], Ack) else self._others).append(settled)
        if not self._scheduled:
            self._scheduled = True
            loop = asyncio.get_running_loop()
            loop.call_at(self._flushed_at + MOMENT, self._flush)

    async def finished(self) -> None:
        """Return when everything added so far is settled."""
        self._flush()
        while self._running:
            await asyncio.gather(*self._running, return_exceptions=True)

    def _flush(self) -> None:
        self._scheduled = False
        self._flushed_at = asyncio.get_running_loop().time()
        for outcomes in (self._acks, self._others):
            if outcomes:
                task = asyncio.get_running_loop().create_task(self._consumption.settle(list(outcomes)))
                self._running.add(task)
                task.add_done_callback(self._settled)
                outcomes.clear()

    def _settled(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            get_logger("eventbus.subscriber").error("settle.failed", error=describe(error))
