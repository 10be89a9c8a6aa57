"""Waiting that a stop ends."""

from __future__ import annotations

import asyncio


async def stopped(stop: asyncio.Event, *, within: float) -> bool:
    """Whether `stop` is set; returns when it is, or after so many seconds."""
    try:
        async with asyncio.timeout(within):
            return await stop.wait()
    except TimeoutError:
        return stop.is_set()
