"""A connection to nobody: what is written is confirmed, and what is handed over is made here.

With it one sees what an event costs in this process, without a broker, sockets and the rest of the machine.
Only the connection is a stand-in: from the bytes of the frames on, everything is what runs in production.
"""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, Final, cast

from eventbus.rabbitmq import frames
from eventbus.rabbitmq.arrival import NEVER_RETURNED
from eventbus.rabbitmq.stream import HotStream
from eventbus.rabbitmq.supervisor import LinkState
from eventbus.rabbitmq.wire import Wire

CHANNEL: Final = 1
FRAME_MAX: Final = 131_072
_PUBLISH: Final = frames.NAME.pack(frames.BASIC, frames.PUBLISH) + b"\x00\x00"
"""What no event holds: there is no such octet in JSON."""
_HEADERS: Final = 0x2000
"""The flag for them."""


class Peer(asyncio.Transport):
    """The other end of one channel."""

    def __init__(self, stream: HotStream) -> None:
        super().__init__()
        self.last = b""
        """What was written last."""
        self._stream = stream
        self._published = 0
        self._answers_soon = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.last = bytes(data)
        if published := self.last.count(_PUBLISH):
            self._published += published
            if not self._answers_soon:
                self._answers_soon = True
                asyncio.get_running_loop().call_soon(self._confirm)

    def is_closing(self) -> bool:
        return False

    def hand_over(self, deliveries: bytes) -> None:
        self._stream.data_received(deliveries)

    def _confirm(self) -> None:
        self._answers_soon = False
        self._stream.data_received(frames.ack(CHANNEL, self._published, multiple=True))


class Loopback:
    """Stands where a `Link` does."""

    opened: Final[dict[str, Loopback]] = {}
    """By their purpose."""

    def __init__(self, address: object, _options: object, purpose: str) -> None:
        self.url = str(address)
        self.state = LinkState.CONNECTED
        self.blocked = self.problem = None
        self.peer: Peer | None = None
        """Of the last channel."""
        self.opened[purpose] = self

    def renew(self) -> None:
        """It is new."""

    async def open(self) -> None:
        """There is nobody to be reached."""

    async def close(self) -> None:
        self.state = LinkState.CLOSED

    def begin(self) -> None:
        """It is connected."""

    async def channel(self, *, within: float, confirms: bool = False) -> Wire:  # noqa: ARG002 -- as `Link` has it
        loop = asyncio.get_running_loop()
        stream = HotStream(asyncio.StreamReader(loop=loop), loop)
        self.peer = Peer(stream)
        stream.connection_made(self.peer)
        return Wire(cast("Any", _channel(loop)), stream)


def _channel(loop: asyncio.AbstractEventLoop) -> SimpleNamespace:
    """As much of the driver's as is asked when nothing goes wrong."""
    closing: asyncio.Future[None] = loop.create_future()

    async def agree(*_: object, consumer_tag: str = "", **__: object) -> SimpleNamespace:
        return SimpleNamespace(consumer_tag=consumer_tag)

    async def close() -> None:
        if not closing.done():
            closing.set_result(None)

    return SimpleNamespace(
        number=CHANNEL,
        connection=SimpleNamespace(connection_tune=SimpleNamespace(frame_max=FRAME_MAX)),
        on_consumer_cancel_callbacks=set[object](),
        closing=closing,
        basic_qos=agree,
        basic_consume=agree,
        basic_cancel=agree,
        close=close,
    )


def deliveries(published: bytes, event_id: str, first: int, count: int, route: tuple[str, str]) -> bytes:
    """An event that was written to be published, as it comes from a queue: so often, each time as another."""
    _, _, size = frames.FRAME.unpack_from(published)
    header_at = frames.AROUND + size
    _, _, size, _, _, body_size = frames.BEGUN_CONTENT.unpack_from(published, header_at)
    properties_at = header_at + frames.BEGUN_CONTENT.size
    properties = published[properties_at : header_at + frames.FRAME.size + size]
    body_at = header_at + frames.AROUND + size + frames.FRAME.size
    body = published[body_at : body_at + body_size]
    behind_type = 3 + properties[2]
    flags = int.from_bytes(properties[:2]) | _HEADERS
    counted = flags.to_bytes(2) + properties[2:behind_type] + NEVER_RETURNED + properties[behind_type:]
    id_before = event_id.encode()
    parts: list[bytes] = []
    for tag in range(first, first + count):
        its_id = b"evt_%0*d" % (len(event_id) - 4, tag)
        parts += (
            _delivery(tag, *route),
            _header(counted.replace(id_before, its_id), body_size),
            _frame(frames.BODY, body.replace(id_before, its_id)),
        )
    return b"".join(parts)


def _delivery(tag: int, exchange: str, routing_key: str) -> bytes:
    name = frames.NAME.pack(frames.BASIC, frames.DELIVER)
    answer = frames.ANSWER.pack(tag, 0)
    consumer, *to = map(_text, ("000001." + "0" * 32, exchange, routing_key))
    return _frame(frames.METHOD, b"".join([name, consumer, answer, *to]))


def _header(properties: bytes, body_size: int) -> bytes:
    return _frame(frames.HEADER, frames.CONTENT.pack(frames.BASIC, 0, body_size) + properties)


def _frame(kind: int, payload: bytes) -> bytes:
    return frames.FRAME.pack(kind, CHANNEL, len(payload)) + payload + bytes([frames.END])


def _text(value: str) -> bytes:
    return bytes([len(value)]) + value.encode()
