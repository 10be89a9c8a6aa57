"""Ends a run that takes longer than its subscription allows."""

from __future__ import annotations

from eventbus.context import Proceed
from eventbus.deadlines import Deadlines
from eventbus.errors import HandlerTimeout
from eventbus.service import Member


def limit_time(member: Member, proceed: Proceed) -> Proceed:
    """A coroutine is cancelled at its timeout. A thread cannot be: it runs on, and its result is lost."""
    timeout = member.subscription.timeout
    within = Deadlines(late=lambda: HandlerTimeout(member.queue, timeout)).within
    return lambda context: within(timeout, proceed(context))
