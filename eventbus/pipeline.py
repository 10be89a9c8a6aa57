"""The heart: decode → upcast → middleware → handler → outcome. Settling what comes out is the worker's."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from eventbus.codec import Codec
from eventbus.context import Context
from eventbus.effect import ClaimLost, Effect
from eventbus.errors import describe, shorten
from eventbus.handler import Handler
from eventbus.headers import replay_id, rerun_of
from eventbus.logs import get_logger
from eventbus.middleware import Middleware, compose
from eventbus.once import PAUSE, Admission, Admitted, Ended, Readable, keys_of
from eventbus.ordinary import of_the_run, ordinary
from eventbus.outcome import ACK, Ack, DeadLetter, Outcome, RetryAfter
from eventbus.publisher import Publisher
from eventbus.reading import Reading
from eventbus.service import Member
from eventbus.store import StoreUnavailable
from eventbus.transport import PRUNE, Delivery
from eventbus.value import made
from eventbus.waiting import stopped

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger


class Pipeline:
    """Admits and handles the deliveries of one subscription, and says how each ends. It raises for none."""

    def __init__(
        self,
        member: Member,
        handler: Handler,
        effect: Effect,
        *,
        admission: Admission,
        codec: Codec,
        publisher: Publisher,
        middleware: Sequence[Middleware],
    ) -> None:
        self._member = member
        self._handler = handler
        self._admission = admission
        self._stopping = asyncio.Event()
        self._reading = Reading(codec, handler.read, handler.classes, self._refusal)
        self._queue = member.queue
        self._prepare = publisher.prepare
        self._retry = member.subscription.retry
        self._onion = compose(middleware, member, effect.__call__)
        self._log_of = self._logger
        self._log = get_logger("eventbus.pipeline").bind(service=member.service, subscription=member.queue)

    async def admit(self, deliveries: Sequence[Delivery]) -> Admitted:
        """What of them a handler is to have; waits for no handler, and for nobody who handles one of them."""
        readable, ended = self._read(deliveries)
        if not readable:
            return Admitted((), ended)
        admitted = await self._admission.admit(readable)
        return admitted._replace(ended=[*ended, *admitted.ended]) if ended else admitted

    async def admit_held(self, readable: Readable) -> Admitted:
        """The same for one that somebody else is handling; waits until that has ended."""
        return await self._admission.admit_held(readable)

    async def handle(self, readable: Sequence[Readable]) -> list[Ended]:
        """The outcome of each: usually of one, with `Batch` of all that are handled in one call.

        What has none when it returns goes back to the queue.
        """
        ended: list[Ended] = []
        try:
            await self._onion(self._context(readable))
        except StoreUnavailable:
            return await self._handle_again(readable)
        except ClaimLost as lost:
            return await self._handle_again(readable, lost)
        except BaseException as raised:  # noqa: BLE001 -- the policy decides what it means
            return self._all_failed(readable, raised)
        else:
            for delivery, _, key in readable:
                ended.append(made(Ended, (delivery, ACK, key)))
            return ended

    def ended_by(self, raised: BaseException, readable: Sequence[Readable]) -> list[Ended]:
        """The outcome of those whose handler has ended the task that it ran in."""
        error = of_the_run(raised, self._queue)
        self._log.warning("handler.failed", error=describe(error))
        return self._all_failed(readable, error)

    async def remember(self, handled: Sequence[Ended]) -> Sequence[Ended]:
        """How they end when the inbox was told: as they did, or failed with it. Empty when stopped before."""
        if keys := keys_of(handled):
            try:
                await self._admission.remember(keys)
            except StoreUnavailable:
                return ()  # they come back from the queue, and run again
            except Exception as error:  # noqa: BLE001 -- as of the handler: the policy decides what it means
                self.release(handled)
                return [Ended(delivery, self._failed(delivery, error)) for delivery, *_ in handled]
        return handled

    def release(self, unhandled: Iterable[Readable | Ended]) -> None:
        """Whoever gets them next may handle them."""
        self._admission.release(keys_of(unhandled))

    def stop(self) -> None:
        """Begin with nothing more; what waits for its turn goes back to the queue."""
        self._stopping.set()
        self._admission.stop()

    async def _handle_again(
        self, readable: Sequence[Readable], failure: StoreUnavailable | ClaimLost | None = None
    ) -> list[Ended]:
        """When the store is back: either all of it is true or nothing, and it knows which.

        That run costs no attempt, and there is one: what wants a store a second time although the inbox
        answers is a failure like any other. It may be a statement that takes too long, or another store.
        Only a transaction that cannot even begin is tried for as long as it takes.

        `failure`: of those that have had it. A claim that was lost is one only where nobody else, a former
        transaction of ours included, turns out to have handled the event.
        """
        ended: list[Ended] = []
        while not self._stopping.is_set():
            readable = await self._admit_again(readable, ended)
            if not readable:
                return ended
            if failure is not None:
                return ended + self._all_failed(readable, failure)
            context = self._context(readable)
            try:
                await self._onion(context)
            except StoreUnavailable as error:
                if self._member.signature.transaction is not None and context.transaction is None:
                    await stopped(self._stopping, within=PAUSE)
                else:
                    failure = error
            except ClaimLost as lost:
                failure = lost
            except BaseException as raised:  # noqa: BLE001 -- as in the first run
                return ended + self._all_failed(readable, raised)
            else:
                return ended + [Ended(delivery, ACK, key) for delivery, _, key in readable]
        self.release(readable)
        return ended

    async def _admit_again(self, readable: Sequence[Readable], ended: list[Ended]) -> Sequence[Readable]:
        """Those that are to be handled; what became of others joins `ended`."""
        admitted = await self._admission.admit_again(readable)
        ready = list(admitted.ready)
        ended += admitted.ended
        for held in admitted.held:
            others = await self._admission.admit_held(held)
            ready += others.ready
            ended += others.ended
        return ready

    def _read(self, deliveries: Sequence[Delivery]) -> tuple[list[Readable], list[Ended]]:
        readable, ended = list[Readable](), list[Ended]()
        read, key_of = self._reading.read, self._admission.key
        for delivery in deliveries:
            message = delivery.message
            if message.headers and self._is_passed_over(delivery):
                ended.append(Ended(delivery, ACK))
                continue
            try:
                envelope = read(message)
            except Exception as error:  # noqa: BLE001 -- whatever a message holds must not stop the next
                ended.append(Ended(delivery, self._failed(delivery, error)))
            else:
                readable.append(made(Readable, (delivery, envelope, key_of(delivery, envelope))))
        return readable, ended

    def _all_failed(self, readable: Sequence[Readable], raised: BaseException) -> list[Ended]:
        error, apart = ordinary(raised, self._queue), len(readable) > 1
        return [
            Ended(delivery, self._failed(delivery, error, apart=apart), key) for delivery, _, key in readable
        ]

    def _failed(self, delivery: Delivery, error: Exception, *, apart: bool = False) -> Outcome:
        """`apart`: nobody knows which event of its batch it was; each is tried again alone before it dies."""
        outcome = self._retry.decide(error, delivery.attempt)
        if apart and isinstance(outcome, DeadLetter) and delivery.attempt < self._retry.max_attempts:
            outcome = RetryAfter(0.0, outcome.error, away=outcome.away)
        if isinstance(error, StoreUnavailable) and not isinstance(outcome, Ack):
            outcome = replace(outcome, away=True)
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
        member = self._member
        return member.subscription.on_replay == "skip" or not member.subscribes_to(
            delivery.message.routing_key
        )

    def _refusal(self, event_type: str) -> str | None:
        """Acked as if it were handled it would be lost to the version that subscribes to it."""
        if self._member.subscribes_to(event_type):
            return None
        patterns = shorten(", ".join(self._member.subscription.patterns))
        return (
            f"this version of {self._queue} subscribes to {patterns}; another version bound its queue to "
            f"{event_type}: redrive this when only that one runs, or unbind it with `{PRUNE}`"
        )

    def _context(self, readable: Sequence[Readable]) -> Context:
        delivery, envelope, _ = readable[0]
        attempt, headers = delivery.attempt, delivery.message.headers
        if len(readable) == 1 and not headers:
            return Context(self._queue, (envelope,), attempt, None, _NO_RERUN, self._prepare, self._log_of)
        envelopes = tuple([envelope for _, envelope, _ in readable])
        attempt = max([delivery.attempt for delivery, *_ in readable])
        reruns = tuple([rerun_of(delivery.message.headers) for delivery, *_ in readable])
        return Context(
            self._queue, envelopes, attempt, replay_id(headers), reruns, self._prepare, self._log_of
        )

    def _logger(self, context: Context) -> FilteringBoundLogger:
        envelope = context.envelope
        return self._log.bind(
            event_id=envelope.event_id,
            event_type=envelope.event_type,
            attempt=context.attempt,
            correlation_id=envelope.correlation_id or envelope.event_id,
        )


_NO_RERUN: Final = ("",)
