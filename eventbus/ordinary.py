"""What ends one run of a handler, where it would end more than that."""

from __future__ import annotations

import asyncio

from eventbus.errors import EventBusError, describe


def ordinary(raised: BaseException, subscription: str) -> Exception:
    """An error of this run; raises what is meant to end more: an interrupt, or a cancellation of its task.

    Who has cancelled the task is for its worker to tell: it may have been the handler.
    """
    if isinstance(raised, Exception):
        return raised
    if isinstance(raised, (KeyboardInterrupt, GeneratorExit)) or is_being_cancelled():
        raise raised
    return of_the_run(raised, subscription)


def of_the_run(raised: BaseException, subscription: str) -> Exception:
    """The same of what is known to end nothing more than this run, though it is no Exception."""
    if isinstance(raised, asyncio.CancelledError):
        return HandlerCancelled(subscription)
    return HandlerExited(subscription, raised)


def is_being_cancelled() -> bool:
    """Whether somebody cancels the task that runs: a CancelledError is for all of it, then."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


class HandlerCancelled(EventBusError):
    """A handler raised CancelledError although nobody cancelled it: something it awaited was cancelled, or it
    has cancelled the task that it ran in."""

    def __init__(self, subscription: str) -> None:
        self.subscription = subscription
        super().__init__(
            f"{subscription}: something that the handler awaited was cancelled, or its own task by itself"
        )


class HandlerExited(EventBusError):
    """A handler raised SystemExit, or another exception that is no Exception: its process goes on."""

    def __init__(self, subscription: str, error: BaseException) -> None:
        self.subscription = subscription
        super().__init__(f"{subscription} raised {describe(error)}")
