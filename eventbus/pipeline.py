"""The heart: decode → upcast → middleware → handler → outcome. Settling what comes out is the worker's."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from typing import TYPE_CHECKING

from eventbus.codec import Codec
from eventbus.context import Context
from eventbus.effect import Effect
from eventbus.errors import EventBusError, describe, shorten
from eventbus.handler import Handler
from eventbus.headers import replay_id, rerun_of
from eventbus.logs import get_logger
from eventbus.middleware import MakeMiddleware, compose
from eventbus.once import Admission, Readable, Settled
from eventbus.outcome import ACK, Ack, DeadLetter, Outcome, RetryAfter
from eventbus.publisher import Publisher
from eventbus.service import Member
from eventbus.store import StoreUnavailable
from eventbus.topic import matches
from eventbus.transport import Delivery

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger


class Pipeline:
    """Handles the deliveries of one subscription, and says how each of them ends. It raises for none."""

    def __init__(
        self,
        member: Member,
        handler: Handler,
        effect: Effect,
        *,
        admission: Admission,
        codec: Codec,
        publisher: Publisher,
        middleware: Sequence[MakeMiddleware],
    ) -> None:
        self._member = member
        self._handler = handler
        self._effect = effect
        self._admission = admission
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
                ended.append((delivery, ACK))
                continue
            try:
                readable.append((delivery, self._handler.read(self._codec.decode(delivery.message))))
            except Exception as error:  # noqa: BLE001 -- whatever a message holds must not stop the next
                ended.append((delivery, self._failed(delivery, error)))
        if readable:
            admitted, handled = await self._admission.admit(readable)
            ended += handled + await self._handle(admitted)
        return ended

    def stop(self) -> None:
        """Begin with nothing more; what waits for its turn goes back to the queue."""
        self._admission.stop()

    async def _handle(self, readable: Sequence[Readable]) -> list[Settled]:
        ended: list[Settled] = []
        while readable:
            try:
                await self._as_error(self._onion(self._context(readable)))
                await self._admission.handled(readable)
            except StoreUnavailable:
                # Either all of it is true or nothing, and the store will know which when it is back.
                readable, handled = await self._admission.admit_again(readable)
                ended += handled
            except Exception as error:  # noqa: BLE001 -- the policy decides what it means
                self._admission.failed(readable)
                apart = len(readable) > 1
                failed = [(each, self._failed(each, error, apart=apart)) for each, _ in readable]
                return ended + failed
            else:
                return ended + [(delivery, ACK) for delivery, _ in readable]
        return ended

    def _run(self, context: Context) -> Awaitable[None]:
        return self._as_error(self._effect(context))

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
        """What a replay brings to a subscription that wants none, or that is not bound for it."""
        if replay_id(delivery.message.headers) is None:
            return False
        subscription = self._member.subscription
        key = delivery.message.routing_key
        return subscription.on_replay == "skip" or not any(
            matches(each, key) for each in subscription.patterns
        )

    def _context(self, readable: Sequence[Readable]) -> Context:
        return Context(
            self._member.queue,
            tuple([envelope for _, envelope in readable]),
            attempt=max([delivery.attempt for delivery, _ in readable]),
            replay=replay_id(readable[0][0].message.headers),
            reruns=tuple(rerun_of(delivery.message.headers) for delivery, _ in readable),
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
