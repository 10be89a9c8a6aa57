"""Tells of every failed run, with the traceback where a person will look for it."""

from __future__ import annotations

from collections.abc import Callable

from eventbus.context import Context, Run
from eventbus.errors import HandlerTimeout, Reject, RetryLater, describe
from eventbus.service import Member

_EXPECTED = (RetryLater, Reject, HandlerTimeout)
"""Their message says it all: a traceback would only hide it."""


def log_failures(_member: Member) -> Callable[[Context, Callable[[Context], Run]], Run]:
    async def layer(context: Context, proceed: Callable[[Context], Run]) -> None:
        try:
            await proceed(context)
        except Exception as error:
            unexpected = not isinstance(error, _EXPECTED)
            context.log.warning("handler.failed", error=describe(error), exc_info=unexpected)
            raise

    return layer
