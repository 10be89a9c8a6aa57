"""The hot path of a channel: deliveries, confirms and acks without a task, a future or a lock for each.

The driver gives every delivery a task, and it correlates returns by message id, which swaps the fates of two
messages in flight with the same id. So what is frequent is taken from its stream of frames before it gets
there, and written past it; everything else about connections and channels stays the driver's.
"""

from __future__ import annotations

import asyncio
import struct
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeVar, cast

from aiormq.abc import AbstractChannel, ChannelFrame, DeliveredMessage
from pamqp.body import ContentBody
from pamqp.commands import Basic
from pamqp.constants import FRAME_END
from pamqp.header import ContentHeader

from eventbus.errors import describe
from eventbus.logs import get_logger
from eventbus.rabbitmq.ask import Lost, Refused, ask, meaning

_CLOSE_TIMEOUT: Final = 5.0


@dataclass(frozen=True, slots=True)
class Parcel:
    """One publish: its route, its marshalled properties, its body."""

    exchange: str
    routing_key: str
    mandatory: bool
    properties: bytes
    body: bytes

    @property
    def size(self) -> int:
        return len(self.body) + len(self.properties)


@dataclass(frozen=True, slots=True)
class Arrival:
    """One delivery."""

    tag: int
    exchange: str
    routing_key: str
    redelivered: bool
    properties: Basic.Properties
    body: bytes


class Confirm(NamedTuple):
    """The broker's answer to one publish, or with `multiple` to all up to it that have none yet."""

    tag: int
    multiple: bool
    taken: bool


class Returned(NamedTuple):
    """A mandatory publish that no queue took; its confirm follows."""

    exchange: str
    routing_key: str


OnArrival = Callable[[Arrival], None]
OnConfirm = Callable[[Confirm], None]
OnReturn = Callable[[Returned], None]


def _ignore(_: object) -> None:
    return


class Wire:
    """One open channel, tapped. The callbacks run between two frames: they must be quick and never wait."""

    def __init__(self, channel: AbstractChannel) -> None:
        driver = cast("Any", channel)
        self.channel = channel
        self.number = channel.number
        self.max_body = channel.connection.connection_tune.frame_max - 8
        """Bytes of content that fit one frame."""
        self.lost: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()
        """Done when the channel has ended, with what ended it: `Lost` or `Refused`."""
        self._consumers = 0
        self._frames_out: asyncio.Queue[ChannelFrame] = driver.connection.write_queue
        self._tap = driver.frames = _Tap(driver.frames)
        channel.on_consumer_cancel_callbacks.add(self._cancelled_by_broker)
        driver.closing.add_done_callback(self._closed)

    def listen(
        self,
        *,
        on_arrival: OnArrival = _ignore,
        on_confirm: OnConfirm = _ignore,
        on_return: OnReturn = _ignore,
    ) -> None:
        """Say who hears what arrives; to be called before anything is published or consumed."""
        self._tap.on_arrival, self._tap.on_confirm, self._tap.on_return = on_arrival, on_confirm, on_return

    @property
    def is_open(self) -> bool:
        return not self.lost.done()

    async def write(self, payload: bytes, *, within: float) -> None:
        """Hand whole frames to the connection's writer. Raises `Lost`; then nothing of them was sent."""
        if self.lost.done():
            raise self.lost.result()
        frame = ChannelFrame(payload=payload, should_close=False)
        if not self._frames_out.full():
            self._frames_out.put_nowait(frame)
            return
        putting = asyncio.ensure_future(self._frames_out.put(frame))
        either: set[asyncio.Future[Any]] = {putting, self.lost}
        try:
            await asyncio.wait(either, timeout=within, return_when=asyncio.FIRST_COMPLETED)
        finally:
            # Not done means not put: the last steps of `put` are one.
            if not putting.done():
                putting.cancel()
        if not putting.done():
            raise Lost("the broker reads nothing")

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
        try:
            await self.write(answers, within=_CLOSE_TIMEOUT)
        except Lost as loss:
            self.end(loss)
        except Refused:
            return

    def ack(self, tag: int, *, multiple: bool = False) -> bytes:
        return _SETTLE.pack(1, self.number, 13, _BASIC, _ACK, tag, multiple, FRAME_END)

    def requeue(self, tag: int) -> bytes:
        return _SETTLE.pack(1, self.number, 13, _BASIC, _NACK, tag, 2, FRAME_END)

    def reject(self, tag: int) -> bytes:
        """To the dead letters, by the broker."""
        return _SETTLE.pack(1, self.number, 13, _BASIC, _NACK, tag, 0, FRAME_END)

    def end(self, reason: Exception) -> None:
        """It counts as lost from now on, whatever the broker thinks; `close` tells it."""
        if not self.lost.done():
            self.lost.set_result(reason)

    async def close(self) -> None:
        """What was delivered and not settled goes back to its queue."""
        self.end(Lost("closed"))
        try:
            await ask(self.channel.close(), within=_CLOSE_TIMEOUT)
        except Exception as error:  # noqa: BLE001  it is going away, one way or the other
            get_logger("eventbus.rabbitmq").debug("channel.close_failed", error=describe(error))

    def _closed(self, closing: asyncio.Future[Any]) -> None:
        self.end(meaning(None if closing.cancelled() else closing.exception()))

    def _cancelled_by_broker(self, cancel: Basic.Cancel) -> None:
        self.end(Lost(f"the broker cancelled the consumer {cancel.consumer_tag}"))


class _Tap:
    """Stands where a channel's queue of frames stood: takes what is frequent, lets the rest through."""

    def __init__(self, rest: asyncio.Queue[Any]) -> None:
        self.on_arrival: OnArrival = _ignore
        self.on_confirm: OnConfirm = _ignore
        self.on_return: OnReturn = _ignore
        self._rest = rest
        self._method: Basic.Deliver | Basic.Return | None = None
        self._properties = Basic.Properties()
        self._body: list[bytes] = []
        self._missing = 0

    async def get(self) -> Any:
        return await self._rest.get()

    def task_done(self) -> None:
        self._rest.task_done()

    async def put(self, item: tuple[int, object]) -> None:
        frame = item[1]
        if isinstance(frame, ContentBody):
            self._take_body(frame.value)
        elif isinstance(frame, ContentHeader):
            self._take_header(frame)
        elif isinstance(frame, (Basic.Deliver, Basic.Return)):
            self._method = frame
        elif isinstance(frame, (Basic.Ack, Basic.Nack)):
            taken = isinstance(frame, Basic.Ack)
            _call(self.on_confirm, Confirm(frame.delivery_tag or 0, bool(frame.multiple), taken))
        else:
            await self._rest.put(item)

    def _take_header(self, header: ContentHeader) -> None:
        self._properties = header.properties
        self._missing = header.body_size
        if not header.body_size:
            self._complete(b"")

    def _take_body(self, value: bytes) -> None:
        self._missing -= len(value)
        if self._missing <= 0 and not self._body:
            self._complete(value)
            return
        self._body.append(value)
        if self._missing <= 0:
            body, self._body = b"".join(self._body), []
            self._complete(body)

    def _complete(self, body: bytes) -> None:
        method, self._method = self._method, None
        if method is None:
            return
        exchange, key = method.exchange or "", method.routing_key or ""
        if isinstance(method, Basic.Return):
            _call(self.on_return, Returned(exchange, key))
            return
        redelivered = bool(method.redelivered)
        _call(
            self.on_arrival,
            Arrival(method.delivery_tag or 0, exchange, key, redelivered, self._properties, body),
        )


Heard = TypeVar("Heard")


def _call(listener: Callable[[Heard], None], heard: Heard) -> None:
    """An error here would end the connection with everything on it."""
    try:
        listener(heard)
    except Exception as error:  # noqa: BLE001
        get_logger("eventbus.rabbitmq").error("frame.failed", error=describe(error), exc_info=True)


async def _taken_before(message: DeliveredMessage) -> None:
    """For the driver's list of consumers: what is delivered is taken from the wire before it gets here."""


def publish_frames(number: int, parcel: Parcel, max_body: int) -> bytes:
    """Everything that one publish puts on the wire."""
    to, key, body = parcel.exchange.encode(), parcel.routing_key.encode(), parcel.body
    method = b"%b%c%b%c%b%c" % (_PUBLISH, len(to), to, len(key), key, parcel.mandatory)
    content = _CONTENT.pack(_BASIC, 0, len(body)) + parcel.properties
    frames = [_FRAME.pack(1, number, len(method)), method, _END_OF_FRAME]
    frames += [_FRAME.pack(2, number, len(content)), content, _END_OF_FRAME]
    for begin in range(0, len(body), max_body):
        part = body[begin : begin + max_body]
        frames += [_FRAME.pack(3, number, len(part)), part, _END_OF_FRAME]
    return b"".join(frames)


_BASIC: Final = 60
_ACK: Final = 80
_NACK: Final = 120
_END_OF_FRAME: Final = bytes([FRAME_END])
_FRAME: Final = struct.Struct(">BHI")
"""Type (1 method, 2 content header, 3 body), channel, size."""
_SETTLE: Final = struct.Struct(">BHIHHQBB")
_PUBLISH: Final = struct.pack(">HHH", _BASIC, 40, 0)
_CONTENT: Final = struct.Struct(">HHQ")
