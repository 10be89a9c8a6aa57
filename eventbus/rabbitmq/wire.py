"""The hot path of a channel: deliveries, confirms and acks without a task, a future or a lock for each.

What is frequent is taken from the connection's stream of frames before it gets to the driver, and written
past it; everything else about connections and channels stays the driver's.
"""

from __future__ import annotations

import asyncio
import uuid
from typing import Any, Final, cast

from aiormq.abc import AbstractChannel, DeliveredMessage
from pamqp.commands import Basic

from eventbus.errors import describe
from eventbus.logs import get_logger
from eventbus.rabbitmq import frames
from eventbus.rabbitmq.ask import Lost, ask, meaning
from eventbus.rabbitmq.listening import OnArrival, OnConfirm, OnReturn, OnRoom, nobody
from eventbus.rabbitmq.stream import HotStream
from eventbus.rabbitmq.tap import Tap
from eventbus.waiting import carried_out

CLOSE_TIMEOUT: Final = 5.0
_USUAL_FRAME: Final = 131_072
"""Bytes of a frame that RabbitMQ takes unless it is told otherwise."""


class Wire:
    """One open channel, tapped. The callbacks run between two frames: they must be quick and never wait."""

    def __init__(self, channel: AbstractChannel, stream: HotStream) -> None:
        self.channel = channel
        self.number = channel.number
        frame_max = channel.connection.connection_tune.frame_max  # 0: a broker without a limit
        self.max_body = (frame_max or _USUAL_FRAME) - frames.AROUND
        """Bytes of content that fit one frame."""
        self.lost: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()
        """Done when the channel has ended, with what ended it: `Lost` or `Refused`."""
        self._consumers = 0
        self._stream = stream
        stream.largest_frame = frame_max or frames.LARGEST
        self._tap = Tap(self.end)
        stream.register(self.number, self._tap)
        channel.on_consumer_cancel_callbacks.add(self._cancelled_by_broker)
        cast("Any", channel).closing.add_done_callback(self._closed)

    def listen(
        self,
        *,
        on_arrival: OnArrival = nobody,
        on_confirm: OnConfirm = nobody,
        on_return: OnReturn = nobody,
        on_room: OnRoom = nobody,
    ) -> None:
        """Say who hears what arrives; to be called before anything is published or consumed.

        `on_room`: that `is_full` has ended.
        """
        self._tap.on_arrival, self._tap.on_confirm, self._tap.on_return = on_arrival, on_confirm, on_return
        self._tap.on_room = on_room

    @property
    def is_open(self) -> bool:
        return not self.lost.done()

    @property
    def is_full(self) -> bool:
        """The broker reads nothing at the moment: to send more would only fill the memory."""
        return self._stream.is_full

    def put(self, payload: bytes, *, at_once: bool = False) -> None:
        """Whole frames; they leave in this turn of the loop. Raises `Lost` or `Refused`: then none does.

        `at_once`: nothing is to leave with them.
        """
        if self.lost.done():
            raise self.lost.result()
        self._stream.write(payload, at_once=at_once)

    async def write(self, payload: bytes, *, within: float) -> None:
        """The same, not before the broker reads what was written. Raises `Lost`; then nothing was sent."""
        if self._stream.is_full and not await self._stream.room(within=within):
            raise Lost("the broker reads nothing")
        self.put(payload)

    async def consume(
        self, queue: str, *, prefetch: int, within: float, arguments: dict[str, Any] | None = None
    ) -> str:
        """Its messages arrive from now on. The consumer tag is a fresh one, and sorts after those before it.

        For when a channel is lost, a quorum queue takes the deliveries of its consumers back in the order of
        their tags: so they keep their order, though one consumer took the place of another.
        """
        self._consumers += 1
        tag = f"{self._consumers:06d}.{uuid.uuid4().hex}"
        await ask(self.channel.basic_qos(prefetch_count=prefetch), within=within)
        consuming = self.channel.basic_consume(queue, _taken_before, arguments=arguments, consumer_tag=tag)
        return (await ask(consuming, within=within)).consumer_tag or ""

    async def settle(self, answers: bytes) -> None:
        """Hand over what `ack`, `requeue` and `reject` have made; to a lost channel it means nothing."""
        if self.is_open:
            self._stream.write(answers, at_once=True)

    def ack(self, tag: int, *, multiple: bool = False) -> bytes:
        return frames.ack(self.number, tag, multiple=multiple)

    def requeue(self, tag: int) -> bytes:
        return frames.nack(self.number, tag, requeue=True)

    def reject(self, tag: int) -> bytes:
        """To the dead letters, by the broker."""
        return frames.nack(self.number, tag, requeue=False)

    def end(self, reason: Exception) -> None:
        """It counts as lost from now on, whatever the broker thinks; `close` tells it."""
        if not self.lost.done():
            self.lost.set_result(reason)

    async def close(self) -> None:
        """What was delivered and not settled goes back to its queue, also when this is cancelled."""
        self.end(Lost("closed"))
        self._stream.flush()
        await carried_out(self._close())

    async def _close(self) -> None:
        try:
            await ask(self.channel.close(), within=CLOSE_TIMEOUT)
        except Exception as error:  # noqa: BLE001  it is going away, one way or the other
            get_logger("eventbus.rabbitmq").debug("channel.close_failed", error=describe(error))

    def _closed(self, closing: asyncio.Future[Any]) -> None:
        self.end(meaning(None if closing.cancelled() else closing.exception()))
        self._stream.unregister(self.number, self._tap)

    def _cancelled_by_broker(self, cancel: Basic.Cancel) -> None:
        self.end(Lost(f"the broker cancelled the consumer {cancel.consumer_tag}"))


async def _taken_before(message: DeliveredMessage) -> None:
    """For the driver's list of consumers: what is delivered is taken from the wire before it gets here."""
