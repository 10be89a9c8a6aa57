"""Runs one subscription: takes deliveries, handles them side by side, and settles their outcomes together."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, AsyncExitStack, contextmanager
from contextvars import copy_context
from typing import Any, Final

from eventbus.admitting import Admitting
from eventbus.catchup import CatchUp
from eventbus.circuit import Circuit
from eventbus.errors import SendFailed, TopologyError, describe
from eventbus.handling_time import longest_pause
from eventbus.intake import Intake
from eventbus.logs import get_logger
from eventbus.once import Ended
from eventbus.pipeline import Pipeline
from eventbus.service import Member
from eventbus.settling import Settling
from eventbus.store import StoreUnavailable
from eventbus.threads import HandlerThreads, end_of
from eventbus.transport import Consumption, Topology, Transport
from eventbus.waiting import done_before, stopped
from eventbus.workers import Workers

PAUSE_AFTER_TROUBLE: Final = 1.0
"""Seconds before a subscription whose consuming failed begins anew."""
LONGEST_PAUSE: Final = 30.0
"""The same while the broker refuses its queue: each is twice the one before, up to this."""

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
        threads: HandlerThreads | None = None,
    ) -> None:
        """`declare`: where its queue is still to be declared. `catch_up`: where it begins in the past.
        `threads`: in which a plain function runs.
        """
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
        self._overdue: set[Future[Any]] = set() if threads is None else threads.overdue
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
                if self._stopping.is_set():
                    return
                prefetch = self.member.subscription.prefetch
                await self._consume(self._transport.consume(self.member.queue, prefetch=prefetch))
            except (TopologyError, SendFailed, StoreUnavailable) as error:
                self._refused(error)
                await stopped(self._stopping, within=self._pause_length)
            except (Exception, BaseExceptionGroup) as error:  # noqa: BLE001 -- its trouble stops no others
                self._log.exception("subscription.failed", error=describe(error))
                await stopped(self._stopping, within=self._pause_length)

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
            settling = Settling(consumption, self._pipeline)
            intake = (
                Intake(size=batch.size, within=batch.within) if (batch := subscription.batch) else Intake()
            )
            stack.callback(self._give_back, intake)
            if self._stopping.is_set():
                return
            self.tried.set()
            self.ready.set()
            if self._catch_up is None or self._catch_up.has_ended:
                self.live.set()
                self._trouble_is_over()
            stack.callback(self.ready.clear)
            stack.enter_context(_as_it_is())
            async with asyncio.TaskGroup() as group:
                workers = Workers(group)
                works = (self._work(intake, settling, workers) for _ in range(subscription.concurrency))
                workers.begin(*works, name=self.member.queue)
                admitting = Admitting(self._pipeline, intake, settling, group)
                in_order = subscription.concurrency == 1
                async for deliveries in consumption:
                    self._trouble_is_over()  # a history can always be begun: what comes of it tells
                    await (admitting.in_order(deliveries) if in_order else admitting.put(deliveries))
                admitting.stop()
                intake.close()
            await settling.finished()

    async def _work(self, intake: Intake, settling: Settling, workers: Workers) -> None:
        while True:
            try:
                left_behind = await self._handle_all(intake, settling, workers)
            except asyncio.CancelledError:
                if not workers.may_go_on():
                    raise
                intake.put_back()  # a handler has left it behind, and its next wait heard of it
            else:
                if left_behind:  # no task can be rid of it
                    workers.add(self._work(intake, settling, workers))
                return

    async def _handle_all(self, intake: Intake, settling: Settling, workers: Workers) -> bool:
        """As long as it gives out any; True: a handler has left context variables for the next event."""
        circuit, handle, loop = self._circuit, self._pipeline.handle, asyncio.get_running_loop()
        context_now, context = copy_context, workers.context
        while readable := intake.take_now() or await intake.take():
            taken_at = loop.time()
            ended: list[Ended] = []
            try:
                was_open = circuit.is_open
                if not was_open:
                    ended = await handle(readable)
                if was_open or not circuit.lets_pass(ended):
                    ended = await circuit.run(handle, readable, ended, since=taken_at)
            except BaseException as raised:
                own = isinstance(raised, (asyncio.CancelledError, GeneratorExit))
                if not (own and workers.may_go_on()):
                    self._pipeline.release(readable)
                    raise
                ended = self._pipeline.ended_by(raised, readable)
            if not ended:
                self._pipeline.release(readable)
            settling.add(ended)
            if self._overdue and await self._stopped_before_its_end(self._overdue.pop()):
                return False
            if context_now() != context:  # where nothing was set both are the same, and nothing is compared
                return True
        return False

    async def _stopped_before_its_end(self, future: Future[Any]) -> bool:
        """No thread can be ended. A worker waits for it, for what that takes would find no thread in time."""
        self._log.warning("handler.runs_on", timeout=self.member.subscription.timeout)
        try:
            return not await done_before(self._stopping, end_of(future))
        finally:
            if not future.done():
                self._overdue.add(future)

    def _give_back(self, intake: Intake) -> None:
        intake.close()
        self._pipeline.release(intake.dropped)

    def _refused(self, error: TopologyError | SendFailed | StoreUnavailable) -> None:
        """Said once, however often it is tried again."""
        trouble = describe(error)
        if trouble != self._trouble:
            self._log.error("subscription.failed", error=trouble)
        elif isinstance(error, TopologyError):
            self._pause_length = min(2 * self._pause_length, LONGEST_PAUSE)
        self._trouble = trouble
        if isinstance(error, TopologyError):
            self.tried.set()

    def _trouble_is_over(self) -> None:
        self._pause_length, self._trouble = PAUSE_AFTER_TROUBLE, ""


@contextmanager
def _as_it_is() -> Generator[None]:
    """One error leaves a task group as itself: whoever catches errors by their types must find it."""
    try:
        yield
    except ExceptionGroup as group:
        error, *others = group.exceptions
        if others:
            raise
        raise error from None
