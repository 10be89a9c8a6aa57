"""Deliveries that lie in a row, each as a whole: most look like the one before, and are read in one step.

From one event to the next on one consumer differ the delivery tag, the properties, the body and its size.
Where they stand does not: the consumer tag, the exchange and the routing key are as long as before, and so
are the properties of events of one type. So what stands between is compared with the frames of a delivery
that was read byte by byte and found good.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final, NamedTuple

from eventbus.rabbitmq import frames
from eventbus.rabbitmq.arrival import Arrival
from eventbus.rabbitmq.listening import OnArrival, failed, tell
from eventbus.value import made

_METHOD_BEGINS: Final = frames.FRAME.size + frames.NAME.size
_CONTENT_BEGINS: Final = frames.FRAME.size + frames.CONTENT.size
_MOST_KNOWN: Final = 64
_BETWEEN: Final = 1 + frames.BEGUN_CONTENT.size - frames.BODY_SIZE
"""Bytes from the end octet of the method to the size of the whole body."""
_BEHIND: Final = 1 + frames.FRAME.size - 4
"""Bytes from the end octet of the content header to the size of the body's frame."""


class Alike(NamedTuple):
    """The frames of one delivery, but for what differs."""

    read: Callable[[bytes, int], tuple[Any, ...]]
    """Of its frames, where they begin: `begin`, delivery tag, bits, route, `middle`, size of the whole body,
    properties, `end`, size of the body's frame. What has a name here is as below, or it is not alike."""
    size: int
    """Bytes before the body."""
    begin: bytes
    middle: bytes
    end: bytes


NOTHING: Final = Alike(struct.Struct("").unpack_from, 2**62, b"", b"", b"")
"""What no delivery is like, for want of room."""


def alike(data: bytes, at: int, answer_at: int, header_at: int, body_at: int) -> Alike:
    """A good delivery: where it begins, its tag, the frame of its content header, and the one of its body."""
    route_at = answer_at + frames.ANSWER.size
    properties_at = header_at + frames.BEGUN_CONTENT.size
    form = _form(answer_at - at, header_at - 1 - route_at, body_at - 1 - properties_at)
    begin, _, _, _, middle, _, _, end, _ = form.unpack_from(data, at)
    return Alike(form.unpack_from, form.size, begin, middle, end)


class Row:
    """Of one channel: what it was handed last, for what comes next to be compared with."""

    def __init__(self) -> None:
        self._alike = NOTHING
        """The delivery before."""
        self._known: dict[bytes, Alike] = {}
        """The last ones of other types, by the size of their methods, as it is written in the frame."""

    def take(self, data: bytes, at: int, largest: int, hear: OnArrival) -> int:
        """Each is a method, a header, and a body of one frame of `largest` bytes at most. Where they end."""
        size, room = len(data), largest - frames.AROUND
        _, number, _ = frames.FRAME.unpack_from(data, at)
        like, known = self._alike, self._known
        read, before_body, begin, middle, end = like
        while True:
            body_at = at + before_body
            if body_at < size:
                begins, tag, bits, route, goes_on, length, header, ends, part = read(data, at)
                behind = body_at + length
                if (
                    begins == begin
                    and goes_on == middle
                    and ends == end
                    and length == part <= room
                    and behind < size
                    and data[behind] == frames.END
                ):
                    exchange, routing_key = frames.route(route)
                    body = data[body_at:behind]
                    try:
                        hear(made(Arrival, (tag, exchange, routing_key, bits & 1 == 1, header, body)))
                    except Exception as error:  # noqa: BLE001  as in `tell`
                        failed(error)
                    at = behind + 1
                    continue
            if at >= size:
                return at
            other = known.get(data[at + 3 : at + 7], like)
            if other is like:
                taken_to = self._take_next(number, data, at, room, hear)
                if taken_to == at:
                    return at
                at, other = taken_to, self._alike
            self._alike = like = other
            read, before_body, begin, middle, end = like

    def _take_next(self, channel: int, data: bytes, at: int, room: int, hear: OnArrival) -> int:
        """The one that lies there as a whole, and where it ends; the next may be read as one like it."""
        size = len(data)
        if size - at < _METHOD_BEGINS:
            return at
        kind, number, method_size, of, method = frames.BEGUN_METHOD.unpack_from(data, at)
        header_at = at + frames.AROUND + method_size
        if of != frames.BASIC or method != frames.DELIVER or size - header_at < _CONTENT_BEGINS:
            return at
        content, other, header_size, _, _, body_size = frames.BEGUN_CONTENT.unpack_from(data, header_at)
        body_at = header_at + frames.AROUND + header_size
        behind: int = body_at + frames.AROUND + body_size
        if (
            behind > size
            or kind != frames.METHOD
            or content != frames.HEADER
            or not channel == number == other
            or method_size > room
            or not frames.CONTENT.size <= header_size <= room
            or body_size > room
            or frames.FRAME.unpack_from(data, body_at) != (frames.BODY, number, body_size)
            or not data[header_at - 1] == data[body_at - 1] == data[behind - 1] == frames.END
        ):
            return at
        answer_at = at + _METHOD_BEGINS
        answer_at += 1 + data[answer_at]
        tag, bits = frames.ANSWER.unpack_from(data, answer_at)
        exchange, routing_key = frames.route(data[answer_at + frames.ANSWER.size : header_at - 1])
        header = data[header_at + _CONTENT_BEGINS : body_at - 1]
        body = data[body_at + frames.FRAME.size : behind - 1]
        self._alike = alike(data, at, answer_at, header_at, body_at)
        form = data[at + 3 : at + 7]
        if len(self._known) < _MOST_KNOWN or form in self._known:
            self._known[form] = self._alike
        tell(hear, Arrival(tag, exchange, routing_key, bits & 1 == 1, header, body))
        return behind


@lru_cache(maxsize=256)
def _form(begin: int, route: int, properties: int) -> struct.Struct:
    return struct.Struct(f">{begin}sQB{route}s{_BETWEEN}sQ{properties}s{_BEHIND}sI")
