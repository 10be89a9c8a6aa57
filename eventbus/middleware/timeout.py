"""Ends a run that takes longer than its subscription allows."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from eventbus.context import Proceed
from eventbus.deadlines import Deadlines
from eventbus.dependency import CancelledWaiting
from eventbus.errors import HandlerTimeout
from eventbus.service import Member

Limit = Callable[[Awaitable[None]], Coroutine[Any, Any, None]]


def limit_time(member: Member, proceed: Proceed) -> Proceed:
    """A coroutine is cancelled at its timeout. A thread cannot be: it runs on, and its result is lost.

    In a transaction of the store the effect sets the limit, when it has begun: to wait for one's turn, as
    for SQLite's one writer, is no run, and what is being committed is not to be called late.
    """
    if member.signature.transaction == "store":
        return proceed
    timeout, within = member.subscription.timeout, _within(member)
    return lambda context: within(timeout, proceed(context))


def limit_of(member: Member) -> Limit:
    """Awaits a run; raises `HandlerTimeout` when it takes too long."""
    timeout, within = member.subscription.timeout, _within(member)
    return lambda run: within(timeout, run)


def _within(member: Member) -> Callable[[float, Awaitable[None]], Coroutine[Any, Any, None]]:
    def late(cancelled: asyncio.CancelledError) -> HandlerTimeout:
        waited_for = cancelled.factory if isinstance(cancelled, CancelledWaiting) else ""
        return HandlerTimeout(member.queue, member.subscription.timeout, waited_for)

    return Deadlines(late).within
