"""The test bus: the real pipeline on the embedded transport in memory, with a clock that the test moves."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Final, Self, TypeVar, Unpack

from eventbus.bus import Bus
from eventbus.codec import Codec, Limits
from eventbus.embedded import EmbeddedTransport
from eventbus.envelope import Envelope
from eventbus.errors import ConfigurationError, Unreadable
from eventbus.event import Event
from eventbus.options import PublishOptions
from eventbus.publisher import Receipt
from eventbus.registry import Registry
from eventbus.service import Service
from eventbus.settings import Settings
from eventbus.testing.clock import VirtualClock
from eventbus.transport import DeadLetterEntry
from eventbus.worker import Worker

E = TypeVar("E", bound=Event)

PATIENCE: Final = 30.0
"""Seconds of real time that handlers may take until the bus counts as stuck."""


class TestBus:
    """A whole bus inside a test:

        async with TestBus(payment, email) as bus:
            await bus.publish(OrderCreated(order_id=1, user_id=2, total=Decimal("3.00")))
            assert bus.published(PaymentCaptured)

    `publish` returns when all that it caused has been handled; what is delayed or waits for a retry happens
    in `advance`, to the second: chance adds nothing to the waits. Everything else is the real thing:
    encoding, routing, retries, dead letters.
    """

    __test__ = False  # pytest: this is no test class

    def __init__(self, *services: Service, source: str = "test", settings: Settings | None = None) -> None:
        self.clock = VirtualClock()
        self._services = tuple(_steady(service) for service in services)
        # A pause passes in real time, which a test has not got.
        settings = (settings or Settings()).model_copy(update={"pause_after": 0})
        self._bus = Bus("sqlite://:memory:", source=source, settings=settings, clock=self.clock)
        self._codec = Codec(Limits(body=self._bus.settings.max_body_bytes))
        self._worker: Worker | None = None
        self._log: list[Envelope[dict[str, Any]]] = []
        self._next_offset = 0
        self._dead: list[DeadLetterEntry] = []

    async def __aenter__(self) -> Self:
        await self._bus.__aenter__()
        try:
            self._worker = await self._bus.start(*self._services)
            async with asyncio.timeout(PATIENCE):
                await self._worker.caught_up()
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._worker is not None:
                await self._worker.stop()
        finally:
            await self._bus.__aexit__(kind, error, trace)

    @property
    def bus(self) -> Bus:
        """The real bus behind it, for what is made of one: `EventStore(test_bus.bus)`."""
        return self._bus

    @property
    def transport(self) -> EmbeddedTransport:
        """The broker behind it, for what the test bus does not show itself."""
        transport = self._bus.transport
        if not isinstance(transport, EmbeddedTransport):
            raise ConfigurationError("the test bus runs on the embedded transport only")
        return transport

    @property
    def dead_letters(self) -> Sequence[DeadLetterEntry]:
        """What the handlers gave up, oldest first; each with its message, reason and error."""
        return tuple(self._dead)

    async def publish(
        self,
        event: Event | Envelope[Any] | str,
        data: dict[str, Any] | None = None,
        **options: Unpack[PublishOptions],
    ) -> Receipt:
        """Publish, and return when the event and all that it caused have been handled."""
        receipt = await self._bus.publish(event, data, **options)
        await self.settle()
        return receipt

    async def publish_many(
        self, events: Iterable[Event | Envelope[Any]], **options: Unpack[PublishOptions]
    ) -> list[Receipt]:
        receipts = await self._bus.publish_many(events, **options)
        await self.settle()
        return receipts

    async def advance(self, by: timedelta | float) -> None:
        """Let time pass (a number is seconds): what becomes due on the way happens in order, at its time."""
        end = self.clock.now() + (by if isinstance(by, timedelta) else timedelta(seconds=by))
        while (due := await self._next_due()) is not None and due <= end:
            self._move_to(due)
            await self.settle()
        self._move_to(end)
        await self.settle()

    async def settle(self) -> None:
        """Return when nothing is left to handle at this moment of the virtual clock."""
        try:
            async with asyncio.timeout(PATIENCE):
                await self.transport.idle()
                while await self._bus.kept.drain():
                    await self.transport.idle()
        except TimeoutError:
            raise TimeoutError(f"handlers did not come to rest within {PATIENCE:g} s of real time") from None
        await self._look()

    def published(self, event: type[E]) -> list[E]:
        """Every event of this class so far, of the test and of handlers, in order; older versions upcast."""
        registry = Registry([event])
        return [
            read.data
            for envelope in self._log
            if envelope.event_type == event.__event_type__
            for read in [registry.upcast(envelope, event)]
            if isinstance(read.data, event)
        ]

    def envelopes(self, event_type: str = "") -> list[Envelope[dict[str, Any]]]:
        """Every envelope so far, of one event type or of all, with its data as a dict."""
        return [each for each in self._log if event_type in ("", each.event_type)]

    def _move_to(self, moment: datetime) -> None:
        self.clock.move_to(moment)
        self.transport.wake()

    async def _next_due(self) -> datetime | None:
        due = [each for each in (await self.transport.next_due(), self.clock.next_wake()) if each is not None]
        return min(due, default=None)

    async def _look(self) -> None:
        """Fetch what is new in the log and in the dead letters, so that a test can ask without awaiting."""
        for entry in await self.transport.history(self._next_offset):
            self._next_offset = entry.offset + 1
            with suppress(Unreadable):  # what no handler can read, no test asks for
                self._log.append(self._codec.decode(entry.message))
        queues = [member.queue for service in self._services for member in service]
        found = [each for queue in queues for each in await self.transport.dead_letters(queue, limit=10_000)]
        self._dead = sorted(found, key=lambda entry: entry.died_at or self.clock.now())


def _steady(service: Service) -> Service:
    """The service without jitter: a test that moves the clock by two seconds means two seconds.

    Nor do its batches wait for more: that passes in real time, and what was published has arrived.
    """
    return Service(
        service.name,
        [
            replace(
                subscription,
                retry=replace(subscription.retry, jitter=False),
                batch=subscription.batch and replace(subscription.batch, within=0),
            )
            for subscription in (member.subscription for member in service)
        ],
    )
