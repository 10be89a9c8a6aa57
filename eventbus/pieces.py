"""Publishes more events than should lie in memory at once: piece by piece, each checked before it is sent."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterator, Sequence
from itertools import islice
from typing import Final, TypeVar

from eventbus.errors import InvalidEvent, SendFailed
from eventbus.outgoing import Outgoing

R = TypeVar("R")

PIECE: Final = 10_000
"""Events that are all checked before the first of them is sent."""
_STRETCH: Final = 1_000
"""Events that are made ready before whatever else the event loop has to do has its turn."""

_LEAST: Final = 0.001
"""Seconds for a piece when the time is up: what stands in for the broker may still take it."""

Send = Callable[[Sequence[Outgoing], float], Awaitable[Sequence[R]]]
"""What became of each, within so many seconds; raises `SendFailed`."""


async def send_in_pieces(
    outgoing: Iterator[Outgoing], send: Send[R], *, timeout: float, total: int
) -> list[R]:
    """What became of each. The next piece is made ready when the one before is with the broker.

    Raises what `send` and the iterator raise: of a later piece, with what is known of those before it.
    `timeout`: seconds for all, from when the first is ready. `total`: how many there are, 0 where that is
    unknown; for an error, which speaks of all.
    """
    clock = asyncio.get_running_loop().time
    ends_at, done, size = math.inf, list[R](), 0
    while True:
        try:
            piece = await _next_of(outgoing)
            size = len(piece)
            if not size and done:
                return done
            ends_at = min(ends_at, clock() + timeout)
            done += await send(piece, max(_LEAST, ends_at - clock()) if done else timeout)
        except SendFailed as error:
            if done or total > size:
                error.concern(before=len(done), this=size, total=total)
            raise
        except InvalidEvent as error:
            if done:
                error.concern(before=len(done))
            raise
        except Exception as error:
            if done:
                error.add_note(f"The first {len(done)} events were published.")
            raise
        del piece
        if size < PIECE:
            return done


async def _next_of(outgoing: Iterator[Outgoing]) -> list[Outgoing]:
    piece: list[Outgoing] = []
    while len(piece) < PIECE:
        stretch = list(islice(outgoing, _STRETCH))
        piece += stretch
        if len(stretch) < _STRETCH:
            break
        await asyncio.sleep(0)
    return piece
