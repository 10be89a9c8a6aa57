"""The heart: decode → upcast → middleware → handler → outcome. Settling what comes out is the worker's."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from typing import TYPE_CHECKING, Any

from eventbus.codec import Codec
from eventbus.context import Context
from eventbus.envelope import Envelope
from eventbus.errors import EventBusError, describe, shorten
from eventbus.handler import Handler
from eventbus.headers import REPLAY_ID
from eventbus.logs import get_logger
from eventbus.middleware import MakeMiddleware, compose
from eventbus.outcome import Ack, DeadLetter, Outcome, RetryAfter
from eventbus.publisher import Publisher
from eventbus.service import Member
from eventbus.transport import Delivery

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

Settled = tuple[Delivery, Outcome]
Readable = tuple[Delivery, Envelope[Any]]


class Pipeline:
    """Handles the deliveries of one subscription, and says how each of them ends. It raises for none."""

    def __init__(
        self,
        member: Member,
        handler: Handler,
        *,
        codec: Codec,
        publisher: Publisher,
        middleware: Sequence[MakeMiddleware],
    ) -> None:
        self._member = member
        self._handler = handler
        self._codec = codec
        self._publisher = publisher
        self._retry = member.subscription.retry
        self._onion = compose([make(member) for make in middleware], self._run)
        self._log = get_logger("eventbus.pipeline").bind(service=member.service, subscription=member.queue)

    async def process(self, deliveries: Sequence[Delivery]) -> list[Settled]:
        """The outcome of each: usually of one, with `Batch` of all that are handled in one call."""
        ended: list[Settled] = []
        readable: list[Readable] = []
        for delivery in deliveries:
            if self._is_passed_over(delivery):
                ended.append((delivery, Ack()))
                continue
            try:
                readable.append((delivery, self._handler.read(self._codec.decode(delivery.message))))
            except Exception as error:  # noqa: BLE001 -- whatever a message holds must not stop the next
                ended.append((delivery, self._failed(delivery, error)))
        return ended + await self._handle(readable) if readable else ended

    async def _handle(self, readable: Sequence[Readable]) -> list[Settled]:
        try:
            await self._as_error(self._onion(self._context(readable)))
        except Exception as error:  # noqa: BLE001 -- the policy decides what it means
            apart = len(readable) > 1
            return [(delivery, self._failed(delivery, error, apart=apart)) for delivery, _ in readable]
        return [(delivery, Ack()) for delivery, _ in readable]

    async def _run(self, context: Context) -> None:
        """The innermost: the handler, and what it published, before anything is acked."""
        await self._as_error(self._handler.run(context))
        await self._publisher.send(context.outgoing)

    async def _as_error(self, running: Awaitable[None]) -> None:
        """Await it. What would end more than this run becomes an ordinary error, if it was raised in here."""
        try:
            await running
        except (Exception, KeyboardInterrupt, GeneratorExit):
            raise
        except asyncio.CancelledError as error:
            if _is_being_cancelled():
                raise
            raise HandlerCancelled(self._member.queue) from error
        except BaseException as error:
            if _is_being_cancelled():
                raise
            raise HandlerExited(self._member.queue, error) from error

    def _failed(self, delivery: Delivery, error: Exception, *, apart: bool = False) -> Outcome:
        """`apart`: nobody knows which event of its batch it was; each is tried again alone before it dies."""
        outcome = self._retry.decide(error, delivery.attempt)
        if apart and isinstance(outcome, DeadLetter) and delivery.attempt < self._retry.max_attempts:
            outcome = RetryAfter(0.0, outcome.error, away=outcome.away)
        fields = {
            "event_id": shorten(delivery.message.event_id or ""),
            "event_type": shorten(delivery.message.routing_key),
            "attempt": delivery.attempt,
        }
        match outcome:
            case RetryAfter(delay=delay):
                self._log.info("event.retried", **fields, delay=round(delay, 3))
            case DeadLetter(reason=reason, error=told):
                self._log.error("event.dead_lettered", **fields, reason=str(reason), error=told)
            case Ack():
                pass
        return outcome

    def _is_passed_over(self, delivery: Delivery) -> bool:
        return self._member.subscription.on_replay == "skip" and _replay_id(delivery) is not None

    def _context(self, readable: Sequence[Readable]) -> Context:
        return Context(
            self._member.queue,
            tuple(envelope for _, envelope in readable),
            attempt=max(delivery.attempt for delivery, _ in readable),
            replay=_replay_id(readable[0][0]),
            prepare=self._publisher.prepare,
            log=self._logger,
        )

    def _logger(self, context: Context) -> FilteringBoundLogger:
        envelope = context.envelope
        return self._log.bind(
            event_id=envelope.event_id,
            event_type=envelope.event_type,
            attempt=context.attempt,
            correlation_id=envelope.correlation_id or envelope.event_id,
        )


class HandlerCancelled(EventBusError):
    """A handler raised CancelledError although nobody cancelled it: something it awaited was cancelled."""

    def __init__(self, subscription: str) -> None:
        self.subscription = subscription
        super().__init__(f"{subscription}: something that the handler awaited was cancelled")


class HandlerExited(EventBusError):
    """A handler raised SystemExit, or another exception that is no Exception: its process goes on."""

    def __init__(self, subscription: str, error: BaseException) -> None:
        self.subscription = subscription
        super().__init__(f"{subscription} raised {describe(error)}")


def _is_being_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _replay_id(delivery: Delivery) -> str | None:
    replay = delivery.message.headers.get(REPLAY_ID)
    return replay if isinstance(replay, str) else None
