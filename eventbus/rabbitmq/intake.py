"""What one channel has handed over, and which of it is settled."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from eventbus.headers import attempt
from eventbus.logs import get_logger
from eventbus.rabbitmq.arrival import Arrival, BadProperties
from eventbus.rabbitmq.ask import ask
from eventbus.rabbitmq.death import dead_message_of
from eventbus.rabbitmq.messages import message_of
from eventbus.rabbitmq.topology import Names
from eventbus.rabbitmq.wire import CLOSE_TIMEOUT, Wire
from eventbus.transport import Delivery
from eventbus.value import made

AT_A_TIME: Final = 32
"""Answers that a quorum queue takes from a channel before it has carried out the first
(`quorum_commands_soft_limit`). More of them wait in the channel, and are forgotten when it closes: the events
would come again. On 3.10.8, of 300 single acks and a close right behind them, 267 were forgotten each time.
"""
_REST: Final = 0.25
"""Seconds in which the broker has carried out all: with 12 ms it sometimes had not."""


class Intake:
    """The deliveries of one queue on one channel. When the channel is lost, they come back to the queue."""

    def __init__(self, wire: Wire, queue: str, names: Names, on_arrival: Callable[[Delivery], None]) -> None:
        self.wire = wire
        self._lost = wire.lost
        self._queue = queue
        self._names = names
        self._read = dead_message_of if names.is_dead_queue(queue) else message_of
        self._on_arrival = on_arrival
        self._floor = 0
        """Every delivery up to this tag is settled."""
        self._settled: set[int] = set()
        """And these above it."""
        self._loop = asyncio.get_running_loop()
        self._answers = 0
        """Sent, one soon after the other."""
        self._answered_at = 0.0
        wire.listen(on_arrival=self._take)

    def holds(self, tag: int) -> bool:
        """Whether the delivery is still ours to settle; the broker ends a channel that settles twice."""
        return self.wire.is_open and tag > self._floor and tag not in self._settled

    async def ack(self, tags: list[int]) -> None:
        acked = self._held(tags)
        if not acked:
            return
        self._settle(acked)
        # One answer for all up to the last tag below which nothing is open.
        together = acked[: bisect_right(acked, self._floor)]
        answers = [self.wire.ack(together[-1], multiple=len(together) > 1)] if together else []
        answers += [self.wire.ack(tag) for tag in acked[len(together) :]]
        await self._answer(answers)

    async def requeue(self, tags: list[int]) -> None:
        """They go back to the queue, for whoever consumes it."""
        await self._give_back(tags, self.wire.requeue)

    async def reject(self, tags: list[int]) -> None:
        """The broker moves them to the dead letters as they are."""
        await self._give_back(tags, self.wire.reject)

    async def _give_back(self, tags: list[int], answer: Callable[[int], bytes]) -> None:
        if held := self._held(tags):
            self._settle(held)
            await self._answer([answer(tag) for tag in held])

    async def _answer(self, answers: list[bytes]) -> None:
        now = self._loop.time()
        if now - self._answered_at > _REST:
            self._answers = 0
        self._answers += len(answers)
        self._answered_at = now
        await self.wire.settle(b"".join(answers))

    async def close(self) -> bool:
        """What was delivered and not settled goes back to the queue. Whether no answer was lost before."""
        if self.wire.is_open and self._answers > AT_A_TIME:
            await asyncio.sleep(self._answered_at + _REST - self._loop.time())
        was_open = self.wire.is_open
        # The question is sent before the end of the channel, and not waited for longer than that.
        has_all, _ = await asyncio.gather(self._has_all(), self.wire.close())
        return was_open and has_all

    async def _has_all(self) -> bool:
        """Whether the broker has read what was sent before: it answers a question that came after it."""
        try:
            await ask(self.wire.channel.basic_qos(prefetch_count=1), within=CLOSE_TIMEOUT)
        except Exception:  # noqa: BLE001  lost, one way or the other
            return False
        return True

    def _held(self, tags: list[int]) -> list[int]:
        """Those that are still ours to settle, each once, in the order in which they came."""
        if not self.wire.is_open:
            return []
        floor, settled = self._floor, self._settled
        if not settled and tags == [*range(floor + 1, floor + 1 + len(tags))]:
            return tags  # as mostly: the next ones, in their order
        return sorted({tag for tag in tags if tag > floor and tag not in settled})

    def _settle(self, tags: Sequence[int]) -> None:
        """In the order in which they came."""
        if not self._settled and tags[0] == self._floor + 1 and tags[-1] == self._floor + len(tags):
            self._floor = tags[-1]  # as mostly: the next ones, and none is left out
            return
        self._settled.update(tags)
        while self._floor + 1 in self._settled:
            self._floor += 1
            self._settled.remove(self._floor)

    def _refuse(self, arrival: Arrival, error: BadProperties) -> None:
        """The broker moves it to the dead letters as it is; no handler could be told what it says."""
        log = get_logger("eventbus.rabbitmq")
        log.error("delivery.unreadable", queue=self._queue, problem=str(error))
        self._settle([arrival.tag])
        self.wire.put(self.wire.reject(arrival.tag))

    def _take(self, arrival: Arrival) -> None:
        if self._lost.done():
            return  # cancelled by the broker, which hands it over again
        tag, _, _, redelivered, _, _ = arrival
        try:
            message = self._read(self._names, arrival)
        except BadProperties as error:
            self._refuse(arrival, error)
            return
        number = attempt(message.headers) if message.headers else 1
        handle = made(Handle, (self, tag, _returns(arrival) if redelivered else 0))
        self._on_arrival(Delivery(message, self._queue, number, redelivered, handle))


class Handle(NamedTuple):
    """What `Delivery.tag` is here."""

    intake: Intake
    tag: int
    returns: int
    """How often it was handed over before and came back without an outcome."""


def handle_of(delivery: Delivery) -> Handle:
    if not isinstance(delivery.tag, Handle):
        raise TypeError(f"a delivery of another transport: {delivery.tag!r}")
    return delivery.tag


def _returns(arrival: Arrival) -> int:
    """As a quorum queue counts; others do not, and of a dead letter it may not be readable."""
    try:
        count = (arrival.properties.headers or {}).get("x-delivery-count")
    except BadProperties:
        return 0
    return count if isinstance(count, int) else 0
