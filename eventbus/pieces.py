"""Publishes more events than should lie in memory at once: piece by piece, each checked before it is sent."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from itertools import islice
from typing import Final, TypeVar

from eventbus.errors import InvalidEvent, PublishTimeout, SendFailed
from eventbus.outgoing import Outgoing

R = TypeVar("R")

PIECE: Final = 10_000
"""Events that are all checked before the first of them is sent."""
_STRETCH: Final = 1_000
"""Events that are made ready before whatever else the event loop has to do has its turn."""

Send = Callable[[Sequence[Outgoing], float], Awaitable[Sequence[R]]]
"""What became of each, within so many seconds; raises `SendFailed`."""


async def send_in_pieces(
    outgoing: Iterator[Outgoing], send: Send[R], *, timeout: float, total: int
) -> list[R]:
    """What became of each. The next piece is made ready when the one before is with the broker.

    Raises what `send` and the iterator raise: of a later piece, with what is known of those before it.
    `timeout`: seconds for all of them. `total`: how many there are, 0 where that is unknown; for an error,
    which speaks of all.
    """
    clock = asyncio.get_running_loop().time
    ends_at, left = clock() + timeout, timeout
    done: list[R] = []
    while True:
        try:
            piece = await _next_of(outgoing)
        except InvalidEvent as error:
            raise (error.behind(len(done)) if done else error) from None
        if not piece and done:
            return done
        try:
            if left <= 0:
                raise PublishTimeout(f"{len(done)} took the {timeout:g} s that were for all", ())
            done += await send(piece, left)
        except SendFailed as error:
            error.concern(before=len(done), this=len(piece), total=total)
            raise
        if len(piece) < PIECE:
            return done
        left = ends_at - clock()


async def _next_of(outgoing: Iterator[Outgoing]) -> list[Outgoing]:
    piece: list[Outgoing] = []
    while len(piece) < PIECE:
        stretch = list(islice(outgoing, _STRETCH))
        piece += stretch
        if len(stretch) < _STRETCH:
            break
        await asyncio.sleep(0)
    return piece
