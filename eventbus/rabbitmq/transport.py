"""RabbitMQ as a transport: the parts, put together."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from typing import Final, Never

from eventbus.broker_report import BrokerReport
from eventbus.clock import Clock, SystemClock
from eventbus.errors import BrokerUnreachable
from eventbus.rabbitmq.address import parse
from eventbus.rabbitmq.ask import Lost, Refused
from eventbus.rabbitmq.consumer import RabbitMQConsumption
from eventbus.rabbitmq.dead_letters import browse
from eventbus.rabbitmq.declare import declare
from eventbus.rabbitmq.diff import diff
from eventbus.rabbitmq.inspection import inspect
from eventbus.rabbitmq.log import LOG_LAG, Log
from eventbus.rabbitmq.management import Management
from eventbus.rabbitmq.options import RabbitMQOptions
from eventbus.rabbitmq.prune import prune
from eventbus.rabbitmq.publisher import ConfirmedPublisher, parcel
from eventbus.rabbitmq.settling import Settler
from eventbus.rabbitmq.spreading import Spread
from eventbus.rabbitmq.stats import patterns_of, queue_stats, subscription_queues
from eventbus.rabbitmq.supervisor import Link
from eventbus.rabbitmq.topology import Names, plan
from eventbus.transport import (
    Consumption,
    DeadLetterEntry,
    Drift,
    LogBounds,
    LogEntry,
    LogStart,
    Message,
    QueueSpec,
    QueueStats,
    Topology,
)

_DEFAULTS: Final = RabbitMQOptions()
_TALKATIVE: Final = ("aio_pika", "aiormq", "pamqp")
"""Their DEBUG records show headers, bodies and URLs."""


class RabbitMQTransport:
    """One connection for publishing, with a second for much of it, and one for everything else."""

    def __init__(self, url: str, options: RabbitMQOptions = _DEFAULTS, clock: Clock | None = None) -> None:
        self._address = parse(url)
        self._options = options
        self._clock = clock or SystemClock()
        self._names = Names(options.namespace)
        self._management = Management(self._address, options)
        self._publishing = Link(self._address, options, "publishing")
        self._publishing_more = Link(self._address, options, "publishing more")
        self._consuming = Link(self._address, options, "consuming")
        self._links = self._consuming, self._publishing_more, self._publishing
        self._events = Spread(
            ConfirmedPublisher(self._publishing, options), ConfirmedPublisher(self._publishing_more, options)
        )
        self._copies = ConfirmedPublisher(self._publishing, options)
        self._log = Log(self._consuming, self._names, options, self._clock, self._copies)
        self._applied: dict[str, QueueSpec] = {}

    @property
    def url(self) -> str:
        return str(self._address)

    @property
    def handling_limit(self) -> float | None:
        """The broker's consumer_timeout, as the options tell: no client can ask for it."""
        return self._options.consumer_timeout

    @property
    def log_lag(self) -> float:
        """An event that another node routed before it heard of the binding is on its way to the stream."""
        return LOG_LAG

    async def open(self) -> None:
        _quieten_driver()
        for link in self._links:
            link.renew()
        await self._publishing.open()

    async def close(self) -> None:
        await asyncio.gather(*(link.close() for link in self._links))

    async def apply(self, topology: Topology) -> None:
        self._applied.update({queue.name: queue for queue in topology.queues})
        await self._declare(topology)

    async def prune(self, topology: Topology) -> None:
        wanted = plan(self._names, topology, self._options)
        within = self._options.answer_timeout
        try:
            await prune(self._publishing, self._management, self._names, topology, wanted, within=within)
        except (Lost, Refused) as error:
            self._raise("topology", error)

    async def diff(self, topology: Topology) -> Sequence[Drift]:
        wanted = plan(self._names, topology, self._options)
        within = self._options.answer_timeout
        try:
            return await diff(self._publishing, self._management, self._names, wanted, within=within)
        except (Lost, Refused) as error:
            self._raise("topology", error)

    async def send(
        self, messages: Sequence[Message], *, timeout: float, patience: float | None = None
    ) -> None:
        route = self._names.route
        parcels = [parcel(message, route(message)) for message in messages]
        await self._events.send(parcels, timeout=timeout, patience=patience)

    def consume(self, queue: str, *, prefetch: int) -> AbstractAsyncContextManager[Consumption]:
        settler = Settler(queue, self._copies, self._names, self._options, self._clock)
        return RabbitMQConsumption(
            self._consuming,
            queue,
            prefetch,
            settler=settler,
            names=self._names,
            options=self._options,
            restore=self._restore,
        )

    def log(
        self, start: LogStart, *, until: int | None = None
    ) -> AbstractAsyncContextManager[AsyncIterator[Sequence[LogEntry]]]:
        return self._log.read(start, until)

    async def log_bounds(self) -> LogBounds:
        return await self._log.bounds()

    async def dead_letters(self, queue: str, *, limit: int) -> Sequence[DeadLetterEntry]:
        async with aclosing(self.browse(queue, limit=limit)) as batches:
            return [entry async for batch in batches for entry in batch]

    async def browse(self, queue: str, *, limit: int) -> AsyncGenerator[Sequence[DeadLetterEntry]]:
        within = self._options.answer_timeout
        try:
            looking = browse(self._consuming, self._names, queue, limit=limit, within=within)
            async with aclosing(looking) as batches:
                async for batch in batches:
                    yield batch
        except (Lost, Refused) as error:
            self._raise(f"queue {self._names.dead_queue(queue)}", error)

    async def queues(self) -> Sequence[str]:
        """Asked of the management API; raises `ConfigurationError` where it does not answer."""
        return await subscription_queues(self._management, self._names)

    async def patterns(self, queue: str) -> Sequence[str]:
        return await patterns_of(self._management, self._names, queue)

    async def stats(self, queues: Sequence[str]) -> Sequence[QueueStats]:
        within = self._options.answer_timeout
        try:
            return await queue_stats(self._consuming, self._management, self._names, queues, within=within)
        except (Lost, Refused) as error:
            self._raise("queue", error)

    async def inspect(self) -> BrokerReport:
        within = self._options.answer_timeout
        try:
            return await inspect(
                self._publishing, self._management, self._options, self._clock, within=within
            )
        except Lost as error:
            self._raise("broker", error)

    async def _declare(self, topology: Topology) -> None:
        wanted = plan(self._names, topology, self._options)
        # In an alarm the broker reads nothing from a connection that has published; the other one goes on.
        link = self._consuming if topology.queues else self._publishing
        await declare(link, self._names, wanted, within=self._options.answer_timeout)

    async def _restore(self, queue: str) -> None:
        """Only what this process has declared before: elsewhere a deploy step does it."""
        if (spec := self._applied.get(queue)) is not None:
            await self._declare(Topology((spec,)))

    def _raise(self, name: str, error: Lost | Refused) -> Never:
        if isinstance(error, Refused):
            raise error.concerning(name) from error
        raise BrokerUnreachable(self.url, str(error)) from error


def _quieten_driver() -> None:
    for name in _TALKATIVE:
        logger = logging.getLogger(name)
        if logger.level < logging.INFO:
            logger.setLevel(logging.INFO)
    # It reports as an error what we try again, and report ourselves.
    for name in ("aio_pika.connection", "aiormq.connection"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
