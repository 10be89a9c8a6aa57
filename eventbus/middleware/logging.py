"""Tells of every failed run, with the traceback where a person will look for it."""

from __future__ import annotations

from eventbus.context import Context, Proceed
from eventbus.errors import HandlerTimeout, Reject, RetryLater, describe
from eventbus.ordinary import ordinary
from eventbus.service import Member
from eventbus.store import StoreUnavailable

_EXPECTED = (RetryLater, Reject, HandlerTimeout, StoreUnavailable)
"""Their message says it all: a traceback would only hide it."""


def log_failures(member: Member, proceed: Proceed) -> Proceed:
    """The outermost: what would have ended more than the run is an error of the run from here on."""

    async def layer(context: Context) -> None:
        try:
            await proceed(context)
        except BaseException as raised:
            error = ordinary(raised, member.queue)
            unexpected = not isinstance(error, _EXPECTED)
            context.log.warning("handler.failed", error=describe(error), exc_info=unexpected)
            if error is raised:
                raise
            raise error from raised

    return layer
