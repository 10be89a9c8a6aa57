"""Ends a run that takes longer than its subscription allows."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

from eventbus.context import Context
from eventbus.deadlines import Begun, Deadlines
from eventbus.errors import HandlerTimeout
from eventbus.service import Member


def limit_time(member: Member) -> Callable[[Context, Callable[[Context], Awaitable[None]]], Awaitable[None]]:
    """A coroutine is cancelled at its timeout. A thread cannot be: it runs on, and its result is lost."""
    timeout = member.subscription.timeout
    deadlines = Deadlines()

    def layer(context: Context, proceed: Callable[[Context], Awaitable[None]]) -> Awaitable[None]:
        began_at = time.monotonic()
        begun = Begun(proceed(context))
        return begun if begun.is_done else rest(begun, began_at)

    async def rest(begun: Begun, began_at: float) -> None:
        limit = deadlines.within(timeout - (time.monotonic() - began_at))
        try:
            with limit:
                await begun
        except TimeoutError:
            if limit.is_over:
                raise HandlerTimeout(member.queue, timeout) from None
            raise

    return layer
