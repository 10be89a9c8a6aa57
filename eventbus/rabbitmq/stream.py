"""A connection's bytes: what is frequent is taken out of them, and written into them, past the driver.

The driver makes objects, queue entries and tasks of every frame. So the deliveries, returns and confirms of
the channels that are registered here go straight to them; every other frame reaches the driver untouched, in
its order. TLS makes no difference: this stands above it.
"""

from __future__ import annotations

import asyncio
import struct
from typing import Any, Final, Protocol, cast

from aiormq import TransportFactory
from aiormq.exceptions import AMQPConnectionError
from yarl import URL

from eventbus.rabbitmq.frames import AROUND, END, FRAME, HEARTBEAT, LARGEST, METHOD

_PIECE: Final = 64 * 1024
"""Bytes that are joined into one write; more of them would only be copied more often."""
_SIGN_OF_LIFE: Final = 1.0
"""Seconds. The driver takes a peer for dead when no frame reaches it, and what is taken here does not."""


class Taker(Protocol):
    """One channel. Called between two frames: it must be quick and never wait."""

    def takes(self, kind: int, payload: bytes) -> bool:
        """Whether the frame with this payload is its own; if not, the driver gets it.

        Raises `ValueError`, `IndexError` or `struct.error` for a frame that breaks the protocol.
        """
        ...

    def takes_deliveries(self, data: bytes, at: int, largest: int) -> int:
        """Take the deliveries that lie there one behind the other, as far as they are there as a whole.

        Where they end; `takes` gets everything else, frame by frame.
        """
        ...

    def resume(self) -> None:
        """The peer reads again, after `HotStream.is_full`."""
        ...


class HotStream(asyncio.StreamReaderProtocol):
    """Both halves of one connection."""

    def __init__(self, reader: asyncio.StreamReader, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(reader, loop=loop)
        self.largest_frame = LARGEST
        """Bytes of a frame that the broker may send; until the connection is tuned nobody knows better."""
        self.is_full = False
        """The peer does not read: what is written waits here."""
        self._loop = loop
        self._rest = reader
        self._peer: asyncio.WriteTransport | None = None
        self._takers: dict[int, Taker] = {}
        self._begun: list[bytes] = []
        """Of a frame that has not come as a whole."""
        self._missing = 0
        self._fed_at = loop.time()
        self._is_broken = False
        self._out: list[bytes] = []
        self._out_size = 0
        self._resumed: asyncio.Future[None] | None = None

    def register(self, number: int, taker: Taker) -> None:
        self._takers[number] = taker

    def unregister(self, number: int, taker: Taker) -> None:
        if self._takers.get(number) is taker:
            del self._takers[number]

    def write(self, frames: bytes, *, at_once: bool = False) -> None:
        """Whole frames; those of one turn of the loop leave together, and never between parts of others.

        `at_once`: not at the end of the turn, for whoever waits for the answer to this alone.
        """
        if at_once and not self._out and self._peer is not None and not self._peer.is_closing():
            self._peer.write(frames)
            return
        if not self._out:
            self._loop.call_soon(self.flush)
        self._out.append(frames)
        self._out_size += len(frames)
        if self._out_size >= _PIECE:
            self.flush()

    def flush(self) -> None:
        out, self._out, self._out_size = self._out, [], 0
        if out and self._peer is not None and not self._peer.is_closing():
            self._peer.write(b"".join(out))

    async def room(self, *, within: float) -> bool:
        """Whether the peer reads, or does again within so many seconds."""
        if self.is_full:
            self._resumed = self._resumed or self._loop.create_future()
            await asyncio.wait({self._resumed}, timeout=within)
        return not self.is_full

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._peer = cast("asyncio.WriteTransport", transport)

    def pause_writing(self) -> None:
        super().pause_writing()
        self.is_full = True

    def resume_writing(self) -> None:
        super().resume_writing()
        self._go_on()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._peer = None
        self._go_on()

    def _go_on(self) -> None:
        self.is_full = False
        if self._resumed is not None:
            self._resumed.set_result(None)
            self._resumed = None
        for taker in list(self._takers.values()):
            taker.resume()

    def data_received(self, data: bytes) -> None:
        if self._is_broken:
            return
        if self._begun:
            self._begun.append(data)
            self._missing -= len(data)
            if self._missing > 0:
                return
            data = b"".join(self._begun)
            self._begun.clear()
        at = self._take(data)
        if self._takers and not self._is_broken and (now := self._loop.time()) - self._fed_at > _SIGN_OF_LIFE:
            self._fed_at = now
            self._rest.feed_data(HEARTBEAT)
        if at < len(data) and not self._is_broken:
            self._begun.append(data[at:])
            self._missing = self._size_at(data, at) - (len(data) - at)

    def _take(self, data: bytes) -> int:
        """Give out the whole frames in there; where the rest begins."""
        at, size, takers = 0, len(data), self._takers
        while size - at >= FRAME.size:
            kind, number, length = FRAME.unpack_from(data, at)
            end = at + AROUND + length
            if AROUND + length > self.largest_frame:
                return self._refuse(f"a frame of {length} bytes", data, at)
            if end > size:
                break
            try:
                taker = takers.get(number)
                if data[end - 1] != END:
                    return self._refuse("a frame without its end octet", data, at)
                if taker is None:
                    self._rest.feed_data(data[at:end])
                elif (
                    kind == METHOD
                    and end < size  # else no content is there, and it is no whole delivery
                    and (behind := taker.takes_deliveries(data, at, self.largest_frame)) > at
                ):
                    end = behind
                elif not taker.takes(kind, data[at + FRAME.size : end - 1]):
                    self._rest.feed_data(data[at:end])
            except (ValueError, IndexError, struct.error) as error:
                return self._refuse(f"a frame of channel {number} that cannot be read: {error}", data, at)
            at = end
        return at

    def _size_at(self, data: bytes, at: int) -> int:
        """Bytes of the frame that begins there, or of its first part that tells."""
        if len(data) - at < FRAME.size:
            return FRAME.size
        return AROUND + int(FRAME.unpack_from(data, at)[2])

    def _refuse(self, problem: str, data: bytes, at: int) -> int:
        """The peer does not speak AMQP, or not any more: the driver ends the connection over it."""
        self._is_broken = True
        if not self._takers and data.startswith(b"AMQP"):
            self._rest.feed_data(data)  # §4.2.2: it speaks another version, which the driver tells better
        else:
            self._rest.set_exception(ConnectionError(f"the broker sent {problem}"))
        return at


class HotStreams(TransportFactory):
    """What the driver opens its connection with; one for each connection."""

    def __init__(self) -> None:
        self.stream: HotStream | None = None
        """Of the connection, when it is up."""

    async def create(self, url: URL, **kwargs: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        loop = asyncio.get_running_loop()
        provider = kwargs.pop("ssl_context_provider")
        context = await provider.get_context() if url.scheme == "amqps" else None
        reader = asyncio.StreamReader(loop=loop)
        stream = self.stream = HotStream(reader, loop)
        host, port = url.host or "localhost", url.port or 5672
        try:
            connecting = loop.create_connection(lambda: stream, host, port, ssl=context, **kwargs)
            transport, _ = await connecting
        except OSError as error:
            raise AMQPConnectionError(*error.args) from error
        return reader, asyncio.StreamWriter(transport, stream, reader, loop)
