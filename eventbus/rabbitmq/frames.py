"""The frames of the hot path as bytes, after AMQP 0-9-1 §4.2.3: type, channel, size, payload, end octet.

A publish is a method frame, a content header and as many body frames as frame_max asks for (§4.2.6). Settling
is one method frame. Integers are in network byte order (§4.2.5.1), texts have one octet of length in front
(§4.2.5.3).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from eventbus.rabbitmq.topology import Route
from eventbus.value import value

METHOD: Final = 1
HEADER: Final = 2
BODY: Final = 3
"""Types of frames."""
END: Final = 0xCE
AROUND: Final = 8
"""Bytes of a frame that are not its payload."""
LARGEST: Final = 2**27
"""Bytes that no frame has."""

BASIC: Final = 60
CHANNEL: Final = 20
"""Classes."""
PUBLISH: Final = 40
RETURN: Final = 50
DELIVER: Final = 60
ACK: Final = 80
NACK: Final = 120
CLOSE: Final = 40
"""Methods: of channel the last, of basic the others."""

FRAME: Final = struct.Struct(">BHI")
"""§4.2.3: type, channel, size of the payload."""
NAME: Final = struct.Struct(">HH")
"""§4.2.4: what the payload of a method frame begins with, its class and method."""
BEGUN_METHOD: Final = struct.Struct(">BHIHH")
"""`FRAME` and `NAME`, which follow each other in the frame of a method."""
CONTENT: Final = struct.Struct(">HHQ")
"""§4.2.6.1: class, weight (0) and size of the whole body; then flags and properties."""
BEGUN_CONTENT: Final = struct.Struct(">BHIHHQ")
"""`FRAME` and `CONTENT`, which follow each other in the frame of a content header."""
BODY_SIZE: Final = 8
"""Bytes of its last part, the size of the whole body."""
ANSWER: Final = struct.Struct(">QB")
"""basic.ack and basic.nack: delivery tag, and bits: 1 for `multiple`, of a nack 2 for `requeue`.

basic.deliver has the same after its consumer tag, with 1 for `redelivered`.
"""
HEARTBEAT: Final = b"\x08\x00\x00\x00\x00\x00\x00\xce"
"""§4.2.7."""

_ANSWER_FRAME: Final = struct.Struct(">BHIHHQBB")
_END: Final = bytes([END])
_END_AND_FRAME: Final = struct.Struct(">BBHI")
"""The end of a frame, and what the next begins with."""


@value
class Parcel:
    """One publish: its route, its marshalled properties, its body."""

    route: Route
    properties: bytes
    body: bytes


def publish_frames(number: int, parcel: Parcel, max_body: int) -> Sequence[bytes]:
    """The parts of what one publish puts on the wire; `max_body` bytes of content fit one frame."""
    method = _method_frame(number, parcel.route)
    properties, body = parcel.properties, parcel.body
    size = len(body)
    header = BEGUN_CONTENT.pack(HEADER, number, CONTENT.size + len(properties), BASIC, 0, size)
    if 0 < size <= max_body:
        return method, header, properties, _END_AND_FRAME.pack(END, BODY, number, size), body, _END
    frames = [method, header, properties, _END]
    for begin in range(0, size, max_body):
        part = body[begin : begin + max_body]
        frames += (FRAME.pack(BODY, number, len(part)), part, _END)
    return frames


def ack(number: int, tag: int, *, multiple: bool = False) -> bytes:
    return _ANSWER_FRAME.pack(METHOD, number, 13, BASIC, ACK, tag, multiple, END)


def nack(number: int, tag: int, *, requeue: bool) -> bytes:
    return _ANSWER_FRAME.pack(METHOD, number, 13, BASIC, NACK, tag, 2 if requeue else 0, END)


@lru_cache(maxsize=1024)
def _method_frame(number: int, route: Route) -> bytes:
    """basic.publish: a reserved short, exchange, routing key, and bits: 1 for `mandatory`."""
    to, key = route.exchange.encode(), route.routing_key.encode()
    name = NAME.pack(BASIC, PUBLISH) + b"\x00\x00"
    method = b"%b%c%b%c%b%c" % (name, len(to), to, len(key), key, route.mandatory)
    return FRAME.pack(METHOD, number, len(method)) + method + _END


@lru_cache(maxsize=1024)
def route(data: bytes) -> tuple[str, str]:
    """Exchange and routing key, as deliveries and returns have them; there are few. Raises `ValueError`.

    RabbitMQ takes routing keys that are no UTF-8: their odd bytes are escaped, as in properties.
    """
    exchange, at = text(data, 0)
    routing_key, at = text(data, at)
    if at != len(data):
        raise ValueError(f"{at - len(data)} bytes missing")
    return exchange, routing_key


def text(data: bytes, at: int) -> tuple[str, int]:
    """A short text, its odd bytes escaped, and where it ends."""
    end = at + 1 + data[at]
    return data[at + 1 : end].decode("utf-8", "backslashreplace"), end
