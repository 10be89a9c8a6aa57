"""The bus: the only file where adapters meet features."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from types import TracebackType
from typing import Any, Literal, Self, Unpack

from eventbus import handling_time
from eventbus.catchup import CatchUps, check_starts
from eventbus.clock import Clock, SystemClock
from eventbus.codec import Codec, Limits
from eventbus.connecting import connect
from eventbus.envelope import Envelope
from eventbus.errors import ConfigurationError, InvalidSubscription, TopologyError
from eventbus.event import Event
from eventbus.history import History
from eventbus.home import Home
from eventbus.keeping import Kept, logbook_of
from eventbus.opening import Opening, beside
from eventbus.options import PublishOptions
from eventbus.pipelines import Pipelines, ServiceStore, needs_store
from eventbus.publisher import Publisher, Receipt
from eventbus.registry import Registry
from eventbus.replay import Means, Replays
from eventbus.sending import OnUnavailable
from eventbus.service import Service, check_queues, topology
from eventbus.settings import Settings
from eventbus.stopping import on_signals
from eventbus.store import StoreUnavailable
from eventbus.transport import Topology
from eventbus.waiting import done_before, to_its_end
from eventbus.worker import Worker


class Bus:
    """A connection to one broker, for one source of events.

        async with Bus("amqp://guest:guest@localhost/", source="order") as bus:
            await bus.publish(OrderCreated(order_id=12345, user_id=789, total=Decimal("99.99")))

    `url`: see `Settings.url`. `source`: the publishing service, in every envelope. `namespace`: prefix of the
    exchange and of all internal names. `declare=False`: exchanges and queues are made by a deploy step, not
    here; `Settings.declare` says the same. `store`: remembers what was handled, and what is published in a
    transaction; see `Settings.store`. `on_unavailable`: while the broker is away, raise, keep events in a
    local file, or call a function with the envelope of each. `settings`: instead of the environment's.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        source: str,
        store: str | None = None,
        namespace: str | None = None,
        declare: bool = True,
        on_unavailable: Literal["raise", "spool"] | OnUnavailable = "raise",
        settings: Settings | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.settings = (settings or Settings.from_environment()).overridden(
            url=url, namespace=namespace, store=store
        )
        self.source = source
        self.clock = clock or SystemClock()
        self.registry = Registry(closed=bool(self.settings.schemas))
        """The event classes by which events are published by name."""
        self.transport = connect(self.settings, source, self.clock)
        self.kept = Kept(self.settings, self.transport, self.clock, on_unavailable)
        """What of it survives a crash."""
        self._declare = declare and self.settings.declare
        self._codec = Codec(Limits(body=self.settings.max_body_bytes))
        self._publisher = Publisher(
            self.transport,
            source=source,
            codec=self._codec,
            registry=self.registry,
            clock=self.clock,
            timeout=self.settings.publish_timeout,
            sending=self.kept.sending,
            store=self.kept.store,
        )
        self._workers: list[Worker] = []
        self._opening: Opening | None = None
        self._home = Home()

    async def __aenter__(self) -> Self:
        """Connect, declare the exchange and the history; `BrokerUnreachable` after `connect_timeout`."""
        self._collect_schemas()
        self._home.enter()
        try:
            await self.kept.open()
            await self.transport.open()
            if self._declare:
                await self.transport.apply(Topology())
        except BaseException:
            await self._close()
            raise
        self._home.opened()
        await self.kept.send_on()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._close()

    @asynccontextmanager
    async def opening(self, *services: Service) -> AsyncGenerator[Opening]:
        """Instead of `async with bus`, for a program that has other work while the broker is away.

        Entered at once. Beside the block broker and store are tried until they are there; then the services
        run, which the end of the block drains. Until then `publish` raises `BrokerUnreachable` or
        `StoreUnavailable` at once, unless `on_unavailable` or a `transaction` keeps the event here. Any other
        error cancels the block and is raised from it.
        """
        self._collect_schemas()
        self._home.enter()
        opening = self._opening = Opening(self.transport.url)
        async with AsyncExitStack() as running:
            running.push_async_callback(self._close)
            with suppress(StoreUnavailable):  # then it is tried again beside the block
                await self.kept.open()
            await running.enter_async_context(beside(self._open_up(opening, services, running)))
            yield opening

    async def _open_up(self, opening: Opening, services: Sequence[Service], running: AsyncExitStack) -> None:
        await opening.insist(self.kept.open)
        await opening.insist(self.transport.open)
        if self._declare:
            await opening.insist(lambda: self.transport.apply(Topology()))
        self._home.opened()
        worker = None
        if services:
            worker = await opening.insist(lambda: self.start(*services))
            running.push_async_callback(worker.stop)
        await self.kept.send_on()  # and not before the services' queues are there
        opening.succeeded(None if worker is None else worker.complete)

    async def publish(
        self,
        event: Event | Envelope[Any] | str,
        data: dict[str, Any] | None = None,
        **options: Unpack[PublishOptions],
    ) -> Receipt:
        """Publish one event; returns when the broker has it, in every queue bound at that moment.

        `event` is an `Event`, an `Envelope` that is sent as it is, or an event type with its `data`. Raises
        `InvalidEvent` before a byte is sent, or `SendFailed` within `timeout`; its `sent` says what is known.
        """
        self._may_publish(options)
        return await self._publisher.publish(event, data, **options)

    def enqueue(
        self,
        event: Event | Envelope[Any] | str,
        data: dict[str, Any] | None = None,
        **options: Unpack[PublishOptions],
    ) -> Receipt:
        """`publish` in a `transaction` of a thread that has no event loop; may be called from any thread."""
        return self._publisher.enqueue(event, data, **options)

    async def publish_many(
        self, events: Iterable[Event | Envelope[Any]], **options: Unpack[PublishOptions]
    ) -> list[Receipt]:
        """Publish events in this order, confirms pipelined. All are checked before the first is sent.

        More than ten thousand are checked and sent in pieces of as many, so that a generator of millions fits
        the memory; what a later piece raises says how many went before: `InvalidEvent.published`, the `fates`
        of `SendFailed`. `timeout` is for all. In a `transaction` all are one piece.
        """
        self._may_publish(options)
        return await self._publisher.publish_many(events, **options)

    @asynccontextmanager
    async def running(self, *services: Service) -> AsyncGenerator[Worker]:
        """Run services beside other work in this process; drains them at the end of the block."""
        worker = await self.start(*services)
        try:
            yield worker
        finally:
            await worker.stop()

    async def start(self, *services: Service) -> Worker:
        """Declare the services' queues and run their subscriptions; returns when all are consuming.

        A subscription whose queue the broker refuses reports that, and is tried again while the others run.
        Raises `ConfigurationError` where a handler may take longer than the broker waits for it, and where
        two services would share a queue.
        """
        self._home.check_open()
        self._workers = [worker for worker in self._workers if not worker.has_stopped]
        check_queues([*services, *(each for worker in self._workers for each in worker.services)])
        handling_time.check(services, self.transport.handling_limit)
        for service in services:
            service.check_namespace(self.settings.namespace)
            self.registry.learn(service.events())
        needs = any(needs_store(member) for service in services for member in service)
        shared = await self.kept.service_store() if needs else None
        refused = self._declare and not await self._declares(services)
        worker = Worker(
            services,
            self.transport,
            Pipelines(self._publisher, self._codec, shared),
            known=self.registry,
            grace=self.settings.shutdown_grace,
            pause_after=self.settings.pause_after,
            catch_ups=await self._catch_ups(services, shared),
        )
        self._workers.append(worker)
        try:
            await worker.start(self.transport.apply if refused else None)
        except BaseException:
            await worker.stop()
            raise
        return worker

    async def serve(self, *services: Service) -> None:
        """Run services until SIGTERM or SIGINT, then drain them; a second signal hurries."""
        stop = asyncio.Event()
        with on_signals(stop, self.hurry):
            async with AsyncExitStack() as stack:
                if await done_before(stop, stack.enter_async_context(self.running(*services))):
                    await stop.wait()

    async def replays(self) -> Replays:
        """To bring history to one subscription again; how far each replay is stands in the store.

        Raises `StoreUnavailable`, and `ConfigurationError` for a store that is an inbox only.
        """
        self._home.check_open()
        logbook = logbook_of(await self.kept.opened_store())
        history = await self.history()
        return Replays(Means(self.transport, history, logbook, self._codec, self.clock, self.kept.bus))

    async def history(self) -> History:
        """Every event that was published and is kept: in the archive, where there is one, and in the log."""
        self._home.check_open()
        return History(self.transport, await self.kept.archive())

    def hurry(self) -> None:
        """Let no worker that stops wait for its handlers: what they have begun is handed over again."""
        for worker in self._workers:
            worker.hurry()

    async def _catch_ups(self, services: Sequence[Service], shared: ServiceStore | None) -> CatchUps | None:
        """Raises `InvalidSubscription` where one begins in the past and nothing can keep how far it is."""
        late = [member for service in services for member in service if member.subscription.start != "new"]
        if not late or shared is None:
            return None
        check_starts(late)
        if (logbook := shared.store.logbook) is None:
            problem = f"it starts in the past, and the store {shared.store.url} cannot keep how far it is"
            remedy = "Use a store with transactions: EVENTBUS_STORE=sqlite:///eventbus.db, or postgresql://…"
            raise InvalidSubscription(late[0].queue, problem, remedy)
        history, inbox = await self.history(), shared.store.inbox
        return CatchUps(self.transport, history, logbook, inbox, self._codec, self.clock, self.kept.bus)

    async def _declares(self, services: Sequence[Service]) -> bool:
        """Whether the broker has all queues; if not, each subscription sees to its own."""
        try:
            await self.transport.apply(topology(services))
        except TopologyError:
            return False
        return True

    def _collect_schemas(self) -> None:
        for name in self.settings.schemas:
            self.registry.collect(_namespace_of(name))

    async def _close(self) -> None:
        self._home.leave()
        self._opening = None
        await to_its_end(self._close_parts())  # what is left open by half of it nobody could close any more

    async def _close_parts(self) -> None:
        try:
            await self.kept.close()
        finally:
            await self.transport.close()

    def _may_publish(self, options: PublishOptions) -> None:
        if self._opening is None:
            self._home.check_open()
            return
        self._home.check_here()
        if not self.kept.takes(options):
            self._opening.check()


def _namespace_of(module: str) -> dict[str, Any]:
    try:
        return vars(importlib.import_module(module))
    except ImportError as error:
        raise ConfigurationError(
            f"EVENTBUS_SCHEMAS names {module!r}, which cannot be imported: {error}."
        ) from error
