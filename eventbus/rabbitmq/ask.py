"""One question to the broker and its answer: bounded in time, and with errors that mean what they say.

The driver raises CancelledError in callers whose peer has died, and RuntimeError where a channel is closed.
Here CancelledError means that the caller was cancelled, and nothing else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

from aiormq.exceptions import AMQPError, ConnectionClosed, ConnectionInternalError

from eventbus.errors import TopologyError, describe

Answer = TypeVar("Answer")

TOO_MANY_CHANNELS: Final = "number of channels"
"""So RabbitMQ says, whichever limit it is."""
_FEWER_CHANNELS: Final = (
    "Each subscription takes one: have fewer in one process, or allow more (`channel_max` in rabbitmq.conf, "
    "or the user's limit `max-channels`)."
)


class Lost(Exception):
    """The connection or the channel went away, or gives no answer: it may have happened or not."""

    def __init__(self, problem: str, *, is_goodbye: bool = False) -> None:
        self.is_goodbye = is_goodbye
        """The broker closed the connection in good order: it is being stopped, or an operator asked it to."""
        super().__init__(problem)


class Refused(Exception):
    """The broker answered, and said no, which ends the channel or connection. `code`: AMQP's, such as 404."""

    def __init__(self, code: int, problem: str) -> None:
        self.code = code
        self.problem = problem
        super().__init__(f"{code} {problem}")

    def concerning(self, name: str) -> TopologyError:
        """What it is to whoever had to do with `name`."""
        return TopologyError(name, str(self), _FEWER_CHANNELS if self.is_of_channels else "")

    @property
    def is_of_channels(self) -> bool:
        """One more would be more than a connection or a user may have."""
        return TOO_MANY_CHANNELS in self.problem

    @property
    def is_starting(self) -> bool:
        """What a broker says of its durable queues while it starts, and takes connections already."""
        return "is down or inaccessible" in self.problem


async def ask(question: Coroutine[Any, Any, Answer], *, within: float) -> Answer:
    """The answer; raises `Refused`, or `Lost` when there is none within so many seconds."""
    asking = asyncio.ensure_future(question)
    try:
        await asyncio.wait({asking}, timeout=within)
    finally:
        if not asking.done():
            asking.cancel()
            asking.add_done_callback(_forget)
    if not asking.done():
        raise Lost(f"no answer within {within:g} s")
    if asking.cancelled():
        raise Lost("the connection was lost")
    if (error := asking.exception()) is not None:
        raise meaning(error) from error
    return asking.result()


def _forget(asked: asyncio.Future[Any]) -> None:
    """Nobody waits for how it ends; without a look at its error asyncio would log one."""
    if not asked.cancelled():
        asked.exception()


def meaning(error: BaseException | None) -> Exception:
    """What an error of the driver, or the end of a connection or channel, comes down to."""
    if isinstance(error, AMQPError) and (code := _REFUSALS.get(type(error).__name__)):
        return Refused(code, _said(error))
    if isinstance(error, ConnectionInternalError):
        return Lost(f"{_said(error)}: something has failed inside the broker, and its log says what")
    if isinstance(error, ConnectionClosed) and error.args[:1] == (_CONNECTION_FORCED,):
        return Lost(_said(error), is_goodbye=True)
    if isinstance(error, (AMQPError, OSError, RuntimeError, asyncio.CancelledError, EOFError)):
        return Lost(_said(error) or type(error).__name__)
    if isinstance(error, Exception) and type(error) is not Exception:
        return error
    # The driver ends with a bare Exception what it closes for no reason of its own.
    return Lost("closed" if error is None or type(error) is Exception else describe(error))


def closed_by_broker(code: int, problem: str) -> Exception:
    """Why the broker has closed a channel, in its own words."""
    return Refused(code, problem) if code in _REFUSALS.values() else Lost(f"{code} {problem}")


_SILENT = "no sign of life for three heartbeats: the broker is frozen, or the network swallows everything"
"""The driver's watchdog cancels whoever reads."""
_CONNECTION_FORCED = 320
_REFUSALS = {
    "AuthenticationError": 403,
    "ProbableAuthenticationError": 403,
    "ConnectionNotAllowed": 530,
    "ChannelAccessRefused": 403,
    "ChannelNotFoundEntity": 404,
    "ChannelLockedResource": 405,
    "ChannelPreconditionFailed": 406,
}


def _said(error: BaseException) -> str:
    if isinstance(error, asyncio.CancelledError):
        return _SILENT
    return " ".join(str(argument) for argument in error.args if argument is not None)
