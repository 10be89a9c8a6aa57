"""Waiting that a stop ends."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


async def stopped(stop: asyncio.Event, *, within: float) -> bool:
    """Whether `stop` is set; returns when it is, or after so many seconds."""
    try:
        async with asyncio.timeout(within):
            return await stop.wait()
    except TimeoutError:
        return stop.is_set()


async def done_before(stop: asyncio.Event, coroutine: Coroutine[Any, Any, object]) -> bool:
    """Whether it has succeeded before `stop`; otherwise it is cancelled, and has ended. Raises its error."""
    doing, stopping = asyncio.ensure_future(coroutine), asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({doing, stopping}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
        if not doing.done():
            doing.cancel()
            await asyncio.wait({doing})
    if not doing.cancelled():
        doing.result()
    return not doing.cancelled()
