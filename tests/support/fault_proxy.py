"""A TCP proxy before a broker, that can do to a connection whatever a network does.

It reads AMQP frame by frame, so that one frame can be lost or cut in half. A fault lasts until `heal`, and
is for the connections there are and those that come.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum
from typing import Final
from urllib.parse import urlsplit


class Way(Enum):
    """Which half of a connection."""

    UP = "client to broker"
    DOWN = "broker to client"


class Method(Enum):
    """AMQP methods by class and number."""

    PUBLISH = (60, 40)
    DELIVER = (60, 60)
    ACK = (60, 80)
    """Up: of a consumer. Down: a confirm."""


@dataclass
class _Half:
    """What happens to the bytes of one direction."""

    flowing: asyncio.Event = field(default_factory=asyncio.Event)
    swallows: bool = False
    delay: float = 0.0
    rate: float | None = None
    left: int | None = None
    """Bytes until the cut."""
    watched: dict[Method, Callable[[bytes], bytes | None]] = field(default_factory=dict)
    """By method: what its next frame becomes. None: it is cut there."""


class FaultProxy:
    """Started by `between`."""

    def __init__(self, host: str, port: int) -> None:
        self.accepted = 0
        """How many connections were made."""
        self._broker = host, port
        self._server: asyncio.Server | None = None
        self._links: set[_Link] = set()
        self._halves: dict[Way, _Half] = {}
        self.heal()

    @classmethod
    @asynccontextmanager
    async def between(cls, amqp_url: str) -> AsyncIterator[tuple[FaultProxy, str]]:
        """The proxy, and the URL that leads through it to where `amqp_url` does."""
        url = urlsplit(amqp_url)
        proxy = cls(url.hostname or "localhost", url.port or 5672)
        await proxy.listen()
        try:
            yield proxy, url._replace(netloc=f"{url.username}:{url.password}@127.0.0.1:{proxy.port}").geturl()
        finally:
            await proxy.close()

    @property
    def port(self) -> int:
        assert self._server is not None
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def listen(self) -> None:
        # A small window, so that a peer that does not read is felt soon.
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        listener.bind(("127.0.0.1", 0))
        self._server = await asyncio.start_server(self._accept, sock=listener, limit=4096)

    async def close(self) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        await asyncio.gather(*(link.running for link in self._links), return_exceptions=True)

    def heal(self) -> None:
        """No more faults. A connection that a part was swallowed of is reset: TCP has no holes."""
        for link in list(self._links):
            if link.has_holes:
                link.cut()
        for half in self._halves.values():
            half.flowing.set()
        self._halves = {way: _Half() for way in Way}
        for half in self._halves.values():
            half.flowing.set()

    def cut(self, *, gently: bool = False) -> None:
        """End all connections: by RST, or `gently` by FIN."""
        for link in list(self._links):
            link.cut(gently=gently)

    def black_hole(self, *ways: Way) -> None:
        """Everything is read, and goes nowhere."""
        for way in ways or Way:
            self._halves[way].swallows = True

    def stall(self, way: Way) -> None:
        """Nothing is read any more: back-pressure to whoever writes."""
        self._halves[way].flowing.clear()

    def delay(self, seconds: float) -> None:
        for half in self._halves.values():
            half.delay = seconds

    def throttle(self, way: Way, bytes_per_second: float) -> None:
        self._halves[way].rate = bytes_per_second

    def cut_after(self, way: Way, count: int) -> None:
        """By RST, when so many more bytes have gone through in this direction."""
        self._halves[way].left = count

    def lose_next(self, way: Way, method: Method) -> asyncio.Future[None]:
        """The next such frame does not arrive, and everything around it does. Done when it is lost."""
        return self.change_next(way, method, lambda _: b"")

    def halve_next(self, way: Way, method: Method) -> asyncio.Future[None]:
        """Half of the next such frame arrives, then a RST. Done when that has happened."""
        return self.change_next(way, method, lambda _: None)

    def change_next(
        self, way: Way, method: Method, becomes: Callable[[bytes], bytes | None]
    ) -> asyncio.Future[None]:
        """What arrives of the next such frame is what `becomes` says; None: half of it, then a RST."""
        happened: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def meet(frame: bytes) -> bytes | None:
            happened.set_result(None)
            return becomes(frame)

        self._halves[way].watched[method] = meet
        return happened

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        try:
            broker = await asyncio.open_connection(*self._broker, limit=4096)
        except OSError:
            _reset(writer)
            return
        link = _Link(self._halves_now, (reader, writer), broker)
        self._links.add(link)
        try:
            await link.running
        finally:
            self._links.discard(link)

    def _halves_now(self, way: Way) -> _Half:
        return self._halves[way]


class _Link:
    """One client's connection, and ours to the broker for it."""

    def __init__(
        self,
        half: Callable[[Way], _Half],
        client: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        broker: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        self.has_holes = False
        """Something was swallowed of it."""
        self._half = half
        self._writers = client[1], broker[1]
        self._pumps = [
            asyncio.create_task(self._pump(Way.UP, client[0], broker[1])),
            asyncio.create_task(self._pump(Way.DOWN, broker[0], client[1])),
        ]
        self.running = asyncio.create_task(self._run())

    def cut(self, *, gently: bool = False) -> None:
        for writer in self._writers:
            if gently:
                writer.close()
            else:
                _reset(writer)
        for pump in self._pumps:
            pump.cancel()

    async def _run(self) -> None:
        # When one side ends, the other is told in the same way.
        await asyncio.wait(self._pumps, return_when=asyncio.FIRST_COMPLETED)
        self.cut(gently=True)
        await asyncio.wait(self._pumps)

    async def _pump(self, way: Way, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            if way is Way.UP:
                writer.write(await reader.readexactly(_PROTOCOL_HEADER))
            while True:
                await self._half(way).flowing.wait()
                frame = await _frame(reader)
                if not await self._pass(self._half(way), frame, writer):
                    self.cut()
                    return

    async def _pass(self, half: _Half, frame: bytes, writer: asyncio.StreamWriter) -> bool:
        """Whether the connection goes on."""
        if half.swallows:
            self.has_holes = True
            return True
        await asyncio.sleep(half.delay + (len(frame) / half.rate if half.rate else 0.0))
        wanted = _treated(half, frame)
        whole = frame[: len(frame) // 2] if wanted is None else wanted
        if half.left is not None:
            whole = whole[: half.left]
            half.left -= len(whole)
        writer.write(whole)
        await writer.drain()
        return wanted is not None and half.left != 0


def _treated(half: _Half, frame: bytes) -> bytes | None:
    if frame[0] == _METHOD_FRAME:
        *_, number, method = _METHOD.unpack(frame[: _METHOD.size])
        for each in half.watched:
            if each.value == (number, method):
                return half.watched.pop(each)(frame)
    return frame


async def _frame(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readexactly(_HEAD.size)
    _, _, size = _HEAD.unpack(head)
    return head + await reader.readexactly(size + 1)


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close by RST: a lingering time of zero throws away what was not sent."""
    raw = writer.get_extra_info("socket")
    with suppress(OSError):
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


_PROTOCOL_HEADER: Final = 8
_METHOD_FRAME: Final = 1
_HEAD: Final = struct.Struct(">BHI")
_METHOD: Final = struct.Struct(">BHIHH")
