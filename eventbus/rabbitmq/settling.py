"""Carries out outcomes. A delivery is acked only after its effect, or after the confirmed copy of it."""

from __future__ import annotations

import asyncio
import math
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, assert_never

from eventbus.clock import Clock
from eventbus.errors import InvalidEvent, PublishRefused, SendFailed, SendFate, describe, shorten
from eventbus.headers import for_dead_letter, for_retry
from eventbus.logs import get_logger
from eventbus.outcome import Ack, DeadLetter, Outcome, RetryAfter
from eventbus.rabbitmq.intake import Handle, Intake, handle_of
from eventbus.rabbitmq.options import RabbitMQOptions
from eventbus.rabbitmq.publisher import ConfirmedPublisher, parcel
from eventbus.rabbitmq.topology import MAX_DELAY, Names, Route
from eventbus.transport import Delivery, Message
from eventbus.waiting import stopped

_SHORTEST_STAY: Final = 1.0
"""Seconds; what is shorter than the delay network's first level is slept through, the delivery being held."""
_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 30.0
"""Seconds between the attempts to get a copy confirmed; doubled from the first to the longest."""
_SHARE_HELD: Final = 0.5
"""Of the time that the broker lets a delivery be held: so long it waits for its copy."""
_LONGEST_ERROR: Final = 500


@dataclass(frozen=True, slots=True)
class _Copy:
    """What must be confirmed before a delivery may be acked."""

    handle: Handle
    message: Message
    route: Route


class Settler:
    """Settles the deliveries of one consumption."""

    def __init__(
        self, queue: str, publisher: ConfirmedPublisher, names: Names, options: RabbitMQOptions, clock: Clock
    ) -> None:
        self._queue = queue
        self._publisher = publisher
        self._names = names
        self._options = options
        self._clock = clock
        self._stopping = asyncio.Event()
        self._log = get_logger("eventbus.rabbitmq").bind(queue=queue)

    def stop(self) -> None:
        """From now on a copy that cannot be confirmed at once sends its delivery back to the queue."""
        self._stopping.set()

    async def settle(self, outcomes: Sequence[tuple[Delivery, Outcome]]) -> None:
        acked: defaultdict[Intake, list[int]] = defaultdict(list)
        copies: defaultdict[float, list[_Copy]] = defaultdict(list)
        for delivery, outcome in outcomes:
            handle = handle_of(delivery)
            if isinstance(outcome, Ack):
                intake, tag, _ = handle
                acked[intake].append(tag)
                continue
            if not handle.intake.holds(handle.tag):
                continue
            match outcome:
                case RetryAfter():
                    held = outcome.delay if outcome.delay < _SHORTEST_STAY else 0.0
                    copies[held].append(self._retry(handle, delivery, outcome))
                case DeadLetter():
                    copies[0.0].append(self._dead_letter(handle, delivery, outcome))
                case _:
                    assert_never(outcome)
        for intake, tags in acked.items():  # one, but for the moment in which a channel was lost
            await intake.ack(tags)
        if copies:
            await asyncio.gather(*(self._after(held, those) for held, those in copies.items()))

    def _retry(self, handle: Handle, delivery: Delivery, outcome: RetryAfter) -> _Copy:
        message = delivery.message
        error = shorten(outcome.error, _LONGEST_ERROR)
        delay = min(outcome.delay, MAX_DELAY) if outcome.delay >= _SHORTEST_STAY else 0.0
        headers = for_retry(message.headers, message.routing_key, error, self._clock.now())
        copy = replace(message, headers=headers, queue=delivery.queue, delay=delay)
        return _Copy(handle, copy, self._names.route(copy))

    def _dead_letter(self, handle: Handle, delivery: Delivery, outcome: DeadLetter) -> _Copy:
        message = delivery.message
        error = shorten(outcome.error, _LONGEST_ERROR)
        now = self._clock.now()
        headers = for_dead_letter(message.headers, message.routing_key, outcome.reason, error, now)
        copy = replace(message, headers=headers, queue=delivery.queue)
        return _Copy(handle, copy, self._names.dead_letter_route(delivery.queue))

    async def _after(self, held: float, copies: list[_Copy]) -> None:
        if held > 0:
            await self._clock.sleep(held)
        await self._copy(copies)

    async def _copy(self, copies: list[_Copy]) -> None:
        """Ack each when its copy is confirmed. Until then it is held: from its queue it would be handled
        again, before its time, and as the same attempt."""
        loop, pause = asyncio.get_running_loop(), _FIRST_PAUSE
        held_until = loop.time() + _SHARE_HELD * (self._options.consumer_timeout or math.inf)
        while copies := await self._try_to_copy(copies):
            if await stopped(self._stopping, within=pause) or loop.time() > held_until:
                await _each_intake([copy.handle for copy in copies], Intake.requeue)
                return
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _try_to_copy(self, copies: list[_Copy]) -> list[_Copy]:
        """Those that have no confirmed copy yet."""
        copies = [copy for copy in copies if copy.handle.intake.holds(copy.handle.tag)]
        fates: Sequence[SendFate] = ()
        try:
            parcels = [parcel(copy.message, copy.route) for copy in copies]
            await self._publisher.send(parcels, timeout=self._options.copy_timeout)
        except SendFailed as failure:
            fates = failure.fates or [SendFate.NOT_SENT] * len(copies)
            # What the broker refuses, such as a dead letter for which there is no queue, waits for a person.
            report = self._log.error if isinstance(failure, PublishRefused) else self._log.warning
            report("copy.failed", deliveries=len(copies), error=describe(failure))
        except InvalidEvent as error:
            return await self._leave_to_broker(copies, error)
        done = [fate is SendFate.CONFIRMED for fate in fates] if fates else [True] * len(copies)
        await _each_intake([copy.handle for copy, ok in zip(copies, done, strict=True) if ok], Intake.ack)
        return [copy for copy, ok in zip(copies, done, strict=True) if not ok]

    async def _leave_to_broker(self, copies: list[_Copy], error: InvalidEvent) -> list[_Copy]:
        """What cannot be written again, such as the headers of a stranger, the broker keeps as it is."""
        if len(copies) > 1:
            return [left for copy in copies for left in await self._try_to_copy([copy])]
        self._log.error("copy.impossible", error=describe(error))
        await _each_intake([copy.handle for copy in copies], Intake.reject)
        return []


async def _each_intake(
    handles: Iterable[Handle], settle: Callable[[Intake, list[int]], Awaitable[None]]
) -> None:
    """Together for each channel."""
    tags: defaultdict[Intake, list[int]] = defaultdict(list)
    for handle in handles:
        tags[handle.intake].append(handle.tag)
    for intake, those in tags.items():
        await settle(intake, those)
