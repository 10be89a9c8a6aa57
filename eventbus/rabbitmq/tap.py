"""One channel's part of the stream: its frames, put together to what they say."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Final, NamedTuple, TypeVar

from eventbus.errors import describe
from eventbus.logs import get_logger
from eventbus.rabbitmq import frames
from eventbus.rabbitmq.alike import NOTHING, alike
from eventbus.rabbitmq.arrival import Arrival
from eventbus.rabbitmq.ask import closed_by_broker
from eventbus.value import made


class Confirm(NamedTuple):
    """The broker's answer to one publish, or with `multiple` to all up to it that have none yet."""

    tag: int
    multiple: bool
    taken: bool


class Returned(NamedTuple):
    """A mandatory publish that no queue took; its confirm follows."""

    exchange: str
    routing_key: str


_METHOD_BEGINS: Final = frames.FRAME.size + frames.NAME.size
_CONTENT_BEGINS: Final = frames.FRAME.size + frames.CONTENT.size

OnArrival = Callable[[Arrival], None]
OnConfirm = Callable[[Confirm], None]
OnReturn = Callable[[Returned], None]
OnRoom = Callable[[None], None]


def nobody(_: object) -> None:
    """Hears what is of no interest."""


class Tap:
    """Puts the frames of one channel together (§4.2.6): a method, and what it says follows as content."""

    def __init__(self, on_close: Callable[[Exception], None]) -> None:
        self.on_arrival: OnArrival = nobody
        self.on_confirm: OnConfirm = nobody
        self.on_return: OnReturn = nobody
        self.on_room: OnRoom = nobody
        self._on_close = on_close
        self._complete: Callable[[bytes], None] | None = None
        """What the content that follows belongs to; None: it is the driver's."""
        self._tag = 0
        self._redelivered = False
        self._exchange = self._routing_key = ""
        self._header = b""
        self._body: list[bytes] = []
        self._missing = 0
        self._alike = NOTHING
        """The delivery before."""

    def resume(self) -> None:
        _call(self.on_room, None)

    def takes(self, kind: int, data: bytes, begin: int, end: int) -> bool:
        if kind == frames.METHOD:
            return self._takes_method(data, begin, end)
        if self._complete is None:
            return False
        if kind == frames.BODY:
            self._take_body(data[begin:end])
        elif kind == frames.HEADER:
            _, _, self._missing = frames.CONTENT.unpack_from(data, begin)
            self._header = data[begin + frames.CONTENT.size : end]
            if not self._missing:
                self._end_content(self._complete, b"")
        return kind in (frames.BODY, frames.HEADER)

    def takes_deliveries(self, data: bytes, at: int, largest: int) -> int:
        """As nearly all come, one behind the other: each a method, a header, and a body of one frame."""
        if self._complete is not None:
            return at
        size, room, hear = len(data), largest - frames.AROUND, self.on_arrival
        _, number, _ = frames.FRAME.unpack_from(data, at)
        read, before_body, begin, middle, end = self._alike
        while True:
            if at + before_body < size:
                begins, tag, bits, route, goes_on, length, header, ends, part = read(data, at)
                body_at = at + before_body
                behind = body_at + length
                if (
                    begins == begin
                    and goes_on == middle
                    and ends == end
                    and length == part <= room
                    and behind < size
                    and data[behind] == frames.END
                ):
                    exchange, routing_key = _route(route)
                    body = data[body_at:behind]
                    try:
                        hear(made(Arrival, (tag, exchange, routing_key, bits & 1 == 1, header, body)))
                    except Exception as error:  # noqa: BLE001  as in `_call`
                        _failed(error)
                    at = behind + 1
                    continue
            taken_to = self._takes_delivery(number, data, at, room)
            if taken_to == at:
                return at
            at = taken_to
            read, before_body, begin, middle, end = self._alike

    def _takes_delivery(self, channel: int, data: bytes, at: int, room: int) -> int:
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
        exchange, routing_key = _route(data[answer_at + frames.ANSWER.size : header_at - 1])
        header = data[header_at + _CONTENT_BEGINS : body_at - 1]
        body = data[body_at + frames.FRAME.size : behind - 1]
        self._alike = alike(data, at, answer_at, header_at, body_at)
        _call(self.on_arrival, Arrival(tag, exchange, routing_key, bits & 1 == 1, header, body))
        return behind

    def _takes_method(self, data: bytes, begin: int, end: int) -> bool:
        self._complete = None  # a channel that is closed in the middle of a content never gets the rest
        self._body.clear()
        of, method = frames.NAME.unpack_from(data, begin)
        at = begin + frames.NAME.size
        if of == frames.BASIC:
            if method == frames.DELIVER:
                self._begin_delivery(data, at, end)
                return True
            if method in (frames.ACK, frames.NACK):
                tag, bits = frames.ANSWER.unpack_from(data, at)
                _call(self.on_confirm, Confirm(tag, bool(bits & 1), method == frames.ACK))
                return True
            if method == frames.RETURN:
                self._begin_return(data, at, end)
                return True
        elif of == frames.CHANNEL and method == frames.CLOSE:
            # The driver answers it, a few turns of the loop later: what is written after that would end the
            # whole connection.
            why, _ = _text(data, at + 2)
            self._on_close(closed_by_broker(int.from_bytes(data[at : at + 2]), why))
        return False

    def _begin_delivery(self, data: bytes, at: int, end: int) -> None:
        """Consumer tag, delivery tag, bits, exchange, routing key."""
        at += 1 + data[at]
        self._tag, bits = frames.ANSWER.unpack_from(data, at)
        self._redelivered = bool(bits & 1)
        self._begin_content(data, at + frames.ANSWER.size, end)
        self._complete = self._arrived

    def _begin_return(self, data: bytes, at: int, end: int) -> None:
        """Reply code, reply text, exchange, routing key."""
        at += 3 + data[at + 2]
        self._begin_content(data, at, end)
        self._complete = self._returned

    def _begin_content(self, data: bytes, at: int, end: int) -> None:
        self._exchange, self._routing_key = _route(data[at:end])
        self._missing = 0

    def _take_body(self, value: bytes) -> None:
        missing = self._missing = self._missing - len(value)
        if missing > 0:
            self._body.append(value)
            return
        if missing < 0 or self._complete is None:
            raise ValueError("a body longer than it was said to be")
        if self._body:
            self._body.append(value)
            value = b"".join(self._body)
            self._body.clear()
        self._end_content(self._complete, value)

    def _end_content(self, complete: Callable[[bytes], None], body: bytes) -> None:
        self._complete = None
        complete(body)

    def _arrived(self, body: bytes) -> None:
        arrival = Arrival(self._tag, self._exchange, self._routing_key, self._redelivered, self._header, body)
        _call(self.on_arrival, arrival)

    def _returned(self, _: bytes) -> None:
        _call(self.on_return, Returned(self._exchange, self._routing_key))


@lru_cache(maxsize=1024)
def _route(data: bytes) -> tuple[str, str]:
    """Exchange and routing key, of which there are few."""
    exchange, at = _text(data, 0)
    routing_key, at = _text(data, at)
    if at != len(data):
        raise ValueError(f"{at - len(data)} bytes missing")
    return exchange, routing_key


def _text(data: bytes, at: int) -> tuple[str, int]:
    """A short text, and where it ends."""
    end = at + 1 + data[at]
    return data[at + 1 : end].decode(), end


Heard = TypeVar("Heard")


def _call(listener: Callable[[Heard], None], heard: Heard) -> None:
    """An error here would end the connection with everything on it."""
    try:
        listener(heard)
    except Exception as error:  # noqa: BLE001
        _failed(error)


def _failed(error: Exception) -> None:
    get_logger("eventbus.rabbitmq").error("frame.failed", error=describe(error), exc_info=error)
