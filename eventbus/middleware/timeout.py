"""Ends a run that takes longer than its subscription allows."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from eventbus.context import Context
from eventbus.errors import HandlerTimeout
from eventbus.service import Member


def limit_time(member: Member) -> Callable[[Context, Callable[[Context], Awaitable[None]]], Awaitable[None]]:
    """A coroutine is cancelled at its timeout. A thread cannot be: it runs on, and its result is lost."""
    timeout = member.subscription.timeout

    async def layer(context: Context, proceed: Callable[[Context], Awaitable[None]]) -> None:
        limit = asyncio.timeout(timeout)
        try:
            async with limit:
                await proceed(context)
        except TimeoutError:
            if limit.expired():
                raise HandlerTimeout(member.queue, timeout) from None
            raise

    return layer
