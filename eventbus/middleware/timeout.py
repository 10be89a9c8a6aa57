"""Ends a run that takes longer than its subscription allows."""

from __future__ import annotations

from collections.abc import Callable

from eventbus.context import Context, Run
from eventbus.deadlines import Deadlines
from eventbus.errors import HandlerTimeout
from eventbus.service import Member


def limit_time(member: Member) -> Callable[[Context, Callable[[Context], Run]], Run]:
    """A coroutine is cancelled at its timeout. A thread cannot be: it runs on, and its result is lost."""
    timeout = member.subscription.timeout
    deadlines = Deadlines(late=lambda: HandlerTimeout(member.queue, timeout))
    return lambda context, proceed: deadlines.within(timeout, proceed(context))
