"""Runs the subscriptions of services in one process, and drains them when asked to stop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any, Final

from eventbus.catchup import CatchUps
from eventbus.dependency import Lifetime, SharedLifetime
from eventbus.errors import describe
from eventbus.handler import Handler
from eventbus.logs import get_logger
from eventbus.pipelines import Pipelines
from eventbus.registry import Registry
from eventbus.service import Member, Service
from eventbus.subscriber import Declare, Subscriber
from eventbus.threads import HandlerThreads
from eventbus.transport import Transport
from eventbus.waiting import to_its_end
from eventbus.watchdog import Watchdog

AFTER_GRACE: Final = 5.0
"""Seconds that cancelled handlers get to end, and then the clean-ups of the services' dependencies."""


class Worker:
    """`start` returns when each subscription is consuming or refused; `stop` when all that began has ended.

    `known`: event classes beside those that the services see themselves. `grace`: seconds that handlers get
    to finish after `stop`; then they are cancelled, and their deliveries go back to their queues. `stop`
    takes `grace` and twice `AFTER_GRACE` at most, also where the broker does not answer.
    `pause_after`: see `Settings.pause_after`. `catch_ups`: where a subscription begins in the past.
    """

    def __init__(
        self,
        services: Sequence[Service],
        transport: Transport,
        pipelines: Pipelines,
        *,
        known: Registry,
        grace: float,
        pause_after: int = 0,
        catch_ups: CatchUps | None = None,
    ) -> None:
        self.services = services
        self._transport = transport
        self._pipelines = pipelines
        self._known = known
        self._grace = grace
        self._pause_after = pause_after
        self._catch_ups = catch_ups
        self._hurry = asyncio.Event()
        self._lifetimes: list[tuple[str, Lifetime]] = []
        self._threads: list[HandlerThreads] = []
        self._subscribers: list[Subscriber] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._completing: asyncio.Task[None] | None = None
        self._watchdog = Watchdog()
        self.has_stopped = False
        self.complete = asyncio.Event()
        """Set when the broker has handed over to every subscription for the first time."""
        self._log = get_logger("eventbus.worker")

    @property
    def is_ready(self) -> bool:
        """Whether the broker hands over to every subscription."""
        return bool(self._subscribers) and all(each.ready.is_set() for each in self._subscribers)

    async def caught_up(self) -> None:
        """Return when no subscription has history before it any more, and each takes from its queue."""
        await asyncio.gather(*(each.live.wait() for each in self._subscribers))

    async def start(self, declare: Declare | None = None) -> None:
        """`declare`: where the queues are still to be declared, each by its own subscription."""
        began = time.perf_counter()
        self._watchdog.start()
        for service in self.services:
            self._subscribers += self._assemble(service, declare)
        for subscriber in self._subscribers:
            self._tasks.add(asyncio.create_task(subscriber.run(), name=subscriber.member.queue))
        await asyncio.gather(*(subscriber.tried.wait() for subscriber in self._subscribers))
        failing = [each.member.queue for each in self._subscribers if not each.ready.is_set()]
        if not failing:
            self._report_ready(began)
            return
        self._log.error("worker.incomplete", failing=failing)
        self._completing = asyncio.create_task(self._complete(began))

    async def _complete(self, began: float) -> None:
        while not self.is_ready:
            await asyncio.gather(*(subscriber.ready.wait() for subscriber in self._subscribers))
        self._report_ready(began)

    def _report_ready(self, began: float) -> None:
        self.complete.set()
        self._log.info(
            "worker.ready",
            services=[service.name for service in self.services],
            subscriptions=[each.member.queue for each in self._subscribers],
            broker=self._transport.url,
            seconds=round(time.perf_counter() - began, 3),
        )

    def hurry(self) -> None:
        """To stop, now or later, waits for no handler: what they have begun is handed over again."""
        self._hurry.set()

    async def stop(self) -> None:
        """Who is cancelled meanwhile hurries it, and is so when it has ended: no handler is left behind."""
        await to_its_end(self._stop(), hurry=self.hurry)

    async def _stop(self) -> None:
        self._log.info("worker.draining", grace=self._grace)
        if self._completing is not None:
            self._completing.cancel()
        stopping = asyncio.gather(*(each.stop() for each in self._subscribers), return_exceptions=True)
        await self._drained({stopping, *self._tasks})
        stopping.cancel()
        stopping.add_done_callback(_forget)
        await self._cut_off({task for task in self._tasks if not task.done()})
        await self._clean_up()
        for threads in self._threads:
            threads.stop()
        self._watchdog.stop()
        self.has_stopped = True
        self._log.info("worker.stopped")

    def _assemble(self, service: Service, declare: Declare | None) -> list[Subscriber]:
        lifetime = SharedLifetime()
        self._lifetimes.append((service.name, lifetime))
        events = service.events()
        events.learn(self._known)
        return [self._subscriber(member, events, lifetime, declare) for member in service]

    def _subscriber(
        self, member: Member, events: Registry, lifetime: Lifetime, declare: Declare | None
    ) -> Subscriber:
        threads = HandlerThreads(member.subscription.concurrency, member.queue)
        self._threads.append(threads)
        return Subscriber(
            member,
            self._pipelines.make(member, Handler(member, events, lifetime, threads)),
            self._transport,
            pause_after=self._pause_after,
            declare=declare,
            catch_up=self._catch_ups.of(member) if self._catch_ups is not None else None,
            threads=threads,
        )

    async def _drained(self, ending: set[asyncio.Future[Any]]) -> None:
        """Return when every subscription has ended, or has had its time."""
        either = asyncio.ensure_future(asyncio.wait(ending)), asyncio.ensure_future(self._hurry.wait())
        try:
            await asyncio.wait(either, timeout=self._grace, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for waiting in either:
                waiting.cancel()

    async def _cut_off(self, late: set[asyncio.Task[None]]) -> None:
        why = {"hurried": True} if self._hurry.is_set() else {"grace": self._grace}
        for task in late:
            self._log.warning("subscription.cut_off", subscription=task.get_name(), **why)
            task.cancel()
        if late:
            await asyncio.wait(late, timeout=AFTER_GRACE)

    async def _clean_up(self) -> None:
        """Each service's on its own: the trouble of one must not keep others from theirs."""
        closing = [
            asyncio.create_task(lifetime.close(), name=service) for service, lifetime in self._lifetimes
        ]
        if not closing:
            return
        _, late = await asyncio.wait(closing, timeout=AFTER_GRACE)
        for task in closing:
            error = f"not within {AFTER_GRACE:g} s" if task in late else _failure(task)
            if error is not None:
                self._log.error("dependency.cleanup_failed", service=task.get_name(), error=error)
            task.cancel()


def _forget(stopping: asyncio.Future[Any]) -> None:
    """Nobody waits for it any more; without a look at how it ended asyncio would log that."""
    if not stopping.cancelled():
        stopping.exception()


def _failure(task: asyncio.Task[None]) -> str | None:
    if task.cancelled():
        return "cancelled"
    error = task.exception()
    return None if error is None else describe(error)
