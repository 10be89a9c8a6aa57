"""One channel's part of the stream: its frames, put together to what they say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from eventbus.rabbitmq import frames
from eventbus.rabbitmq.arrival import Arrival
from eventbus.rabbitmq.ask import closed_by_broker
from eventbus.rabbitmq.listening import (
    Confirm,
    OnArrival,
    OnConfirm,
    OnReturn,
    OnRoom,
    Returned,
    nobody,
    tell,
)
from eventbus.rabbitmq.row import Row

_UNKNOWN: Final = -1
"""Bytes of a body whose content header has not come."""


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
        self._row = Row()

    def resume(self) -> None:
        tell(self.on_room, None)

    def takes(self, kind: int, payload: bytes) -> bool:
        if kind == frames.METHOD:
            return self._takes_method(payload)
        if self._complete is None:
            return False
        if kind == frames.BODY:
            self._take_body(payload)
        elif kind == frames.HEADER:
            self._take_header(self._complete, payload)
        return kind in (frames.BODY, frames.HEADER)

    def takes_deliveries(self, data: bytes, at: int, largest: int) -> int:
        """As nearly all come, one behind the other: each a method, a header, and a body of one frame."""
        if self._complete is not None:
            return at
        return self._row.take(data, at, largest, self.on_arrival)

    def _takes_method(self, data: bytes) -> bool:
        self._complete = None  # a channel that is closed in the middle of a content never gets the rest
        self._body.clear()
        of, method = frames.NAME.unpack_from(data)
        at = frames.NAME.size
        if of == frames.BASIC:
            if method == frames.DELIVER:
                self._begin_delivery(data, at)
                return True
            if method in (frames.ACK, frames.NACK):
                tag, bits = frames.ANSWER.unpack_from(data, at)
                tell(self.on_confirm, Confirm(tag, bool(bits & 1), method == frames.ACK))
                return True
            if method == frames.RETURN:
                self._begin_return(data, at)
                return True
        elif of == frames.CHANNEL and method == frames.CLOSE:
            # The driver answers it, a few turns of the loop later: what is written after that would end the
            # whole connection.
            why, _ = frames.text(data, at + 2)
            self._on_close(closed_by_broker(int.from_bytes(data[at : at + 2]), why))
        return False

    def _begin_delivery(self, data: bytes, at: int) -> None:
        """Consumer tag, delivery tag, bits, exchange, routing key."""
        at += 1 + data[at]
        self._tag, bits = frames.ANSWER.unpack_from(data, at)
        self._redelivered = bool(bits & 1)
        self._begin_content(data, at + frames.ANSWER.size)
        self._complete = self._arrived

    def _begin_return(self, data: bytes, at: int) -> None:
        """Reply code, reply text, exchange, routing key."""
        at += 3 + data[at + 2]
        self._begin_content(data, at)
        self._complete = self._returned

    def _begin_content(self, data: bytes, at: int) -> None:
        self._exchange, self._routing_key = frames.route(data[at:])
        self._missing = _UNKNOWN

    def _take_header(self, complete: Callable[[bytes], None], value: bytes) -> None:
        if self._missing != _UNKNOWN:
            raise ValueError("a second content header")
        _, _, self._missing = frames.CONTENT.unpack_from(value)
        self._header = value[frames.CONTENT.size :]
        if not self._missing:
            self._end_content(complete, b"")

    def _take_body(self, value: bytes) -> None:
        missing = self._missing = self._missing - len(value)
        if missing > 0:
            self._body.append(value)
            return
        if missing < 0 or self._complete is None:
            raise ValueError("a body that is longer than it was said to be")
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
        tell(self.on_arrival, arrival)

    def _returned(self, _: bytes) -> None:
        tell(self.on_return, Returned(self._exchange, self._routing_key))
