"""Deliveries that look like the one before them: most do, and are then read in one step.

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

_BETWEEN: Final = 1 + frames.BEGUN_CONTENT.size - frames.BODY_SIZE
"""Bytes from the end octet of the method to the size of the whole body."""
_BEFORE_BODY: Final = 1 + frames.FRAME.size
"""Bytes from the end octet of the content header to the body."""


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


@lru_cache(maxsize=256)
def _form(begin: int, route: int, properties: int) -> struct.Struct:
    return struct.Struct(f">{begin}sQB{route}s{_BETWEEN}sQ{properties}s{_BEFORE_BODY - 4}sI")
