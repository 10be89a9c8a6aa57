"""Fills a queue fast: one message over and over, as ready-made frames on a plain socket, not confirmed.

Whoever pours looks at the depth of the queue, so nothing here has to answer for anything.
"""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable, Iterator
from typing import Self

from pika import BasicProperties, frame, spec

from eventbus.rabbitmq.address import parse

CHANNEL = 1
MOST = 131_072
"""Bytes of a frame."""
CHUNK = 100_000
"""Bytes that go to the socket at once, about."""
IDENTITY = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[0-9a-f]{32}")
"""An event id, or the UUID that the others give a task."""


def pour(url: str, count: int, message: bytes, wait_until_there: Callable[[], None]) -> None:
    """Publish it `count` times; each under an id that nobody has ever seen.

    `wait_until_there` is called before the goodbye: RabbitMQ drops what a closed channel still had for a
    quorum queue that is slower than it.
    """
    with _Connection(url) as connection:
        for chunk in _chunks(message, count, time.time_ns() * 10**9):
            connection.send(chunk)
        wait_until_there()


def publish_frames(exchange: str, routing_key: str, properties: BasicProperties, body: bytes) -> bytes:
    """basic.publish, the header and the body of one message."""
    room = MOST - 8
    parts = [
        frame.Method(CHANNEL, spec.Basic.Publish(exchange=exchange, routing_key=routing_key)),
        frame.Header(CHANNEL, len(body), properties),
        *(frame.Body(CHANNEL, body[at : at + room]) for at in range(0, len(body), room)),
    ]
    return b"".join(part.marshal() for part in parts)


def _chunks(message: bytes, count: int, first: int) -> Iterator[bytes]:
    found = IDENTITY.search(message)
    step = max(1, CHUNK // len(message))
    for begin in range(0, count, step):
        numbers = range(begin, min(count, begin + step))
        if found is None:
            yield message * len(numbers)
        else:
            yield b"".join(
                [message.replace(found[0], _identity(found[0], first + number)) for number in numbers]
            )


def _identity(like: bytes, number: int) -> bytes:
    """In the same form, dashes where they were."""
    digits = b"%032d" % number
    if len(like) == len(digits):
        return digits
    return b"-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


class _Connection:
    """As little of a client as publishes: the handshake, one channel, the goodbye (AMQP 0-9-1, 2.2.4)."""

    def __init__(self, url: str) -> None:
        address = parse(url)
        self._socket = socket.create_connection((address.host, address.port), timeout=120)
        self._received = b""
        self.send(frame.ProtocolHeader().marshal())
        self._wait_for(spec.Connection.Start)
        response = f"\0{address.user}\0{address.password}"
        self._say(0, spec.Connection.StartOk(client_properties={}, mechanism="PLAIN", response=response))
        self._wait_for(spec.Connection.Tune)
        self._say(0, spec.Connection.TuneOk(channel_max=1, frame_max=MOST, heartbeat=0))
        self._say(0, spec.Connection.Open(virtual_host=address.vhost))
        self._wait_for(spec.Connection.OpenOk)
        self._say(CHANNEL, spec.Channel.Open())
        self._wait_for(spec.Channel.OpenOk)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._say(0, spec.Connection.Close(200, "", 0, 0))
            self._wait_for(spec.Connection.CloseOk)
        finally:
            self._socket.close()

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def _say(self, channel: int, method: object) -> None:
        self.send(frame.Method(channel, method).marshal())

    def _wait_for(self, answer: type) -> None:
        while True:
            consumed, came = frame.decode_frame(self._received)
            if came is None:
                if not (more := self._socket.recv(65_536)):
                    raise ConnectionError(f"the broker went away before {answer.__name__}")
                self._received += more
                continue
            self._received = self._received[consumed:]
            if isinstance(came, frame.Method) and isinstance(came.method, answer):
                return
