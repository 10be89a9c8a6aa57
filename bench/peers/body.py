"""The event as a client without models sends it: the very JSON of eventbus, made by one format."""

from __future__ import annotations

from bench.peers.job import EVENT_TYPE

_FRAME = (
    b'{"event_id":"evt_%%032d","event_type":"%s","timestamp":"2025-02-15T10:00:00Z",'
    b'"version":"1.0","source":"bench","data":{"order_id":%%d,"user_id":2,"total":"99.99","note":"'
) % EVENT_TYPE.encode()


def note(size: int) -> str:
    """What fills a message up to about `size` bytes."""
    return "n" * max(1, size - len(_FRAME % (0, 0)) - 4)


class Bodies:
    """Bodies of one size."""

    def __init__(self, size: int) -> None:
        self._format = _FRAME + note(size).encode() + b'"}}'

    def body(self, number: int) -> bytes:
        return self._format % (number, number)
