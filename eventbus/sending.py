"""How events leave: to the broker, and where they go when it is away, which is what `on_unavailable` says.

A broker that is away gives no answer in time or no connection, alarms and lost majorities included. One that
answers and says no (`PublishRefused`: a full queue, a missing permission) is there: whoever publishes has to
hear of that, for waiting would not help, and every new try gives the queues that took their copy another.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol

from eventbus.annotations import is_async
from eventbus.envelope import Envelope
from eventbus.errors import PublishRefused, SendFailed, SendFate, describe
from eventbus.logs import get_logger
from eventbus.outgoing import Outgoing
from eventbus.threads import call_in
from eventbus.transport import Transport

State = Literal["confirmed", "scheduled", "spooled", "degraded"]
"""`confirmed`: the broker has it on a quorum. `scheduled`: it is kept for later, by the broker or here.
`spooled`: it is kept here, in the outbox or in the spool, until the broker has it. `degraded`: the broker is
away, and the function that `on_unavailable` names was called with it instead."""

OnUnavailable = Callable[[Envelope[Any]], Any]
"""A function, or a coroutine function, of the event's envelope."""


class Sending(Protocol):
    async def send(self, outgoing: Sequence[Outgoing], *, timeout: float) -> Sequence[State]:
        """What became of each. Raises `SendFailed` within `timeout` seconds, `InvalidEvent` before a byte."""
        ...


class OrRaising:
    """To the broker, or an error."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def send(self, outgoing: Sequence[Outgoing], *, timeout: float) -> Sequence[State]:
        await self._transport.send([each.message for each in outgoing], timeout=timeout)
        return [taken(each) for each in outgoing]


class OrCalling:
    """To the broker; while that is away, a function of the user's does the work in line.

    It is called when the broker has confirmed nothing for `patience` seconds, or not all in time, with each
    event that is not confirmed, in their order.
    An event whose outcome is unknown may still reach its subscribers as well. One with a delay is not for
    now: it raises, as ever. So does one for which the function raises: neither has taken it, nor those behind
    it; those before it count as confirmed in the error's `fates`, for they must not be published again.
    """

    def __init__(self, transport: Transport, call: OnUnavailable, *, patience: float) -> None:
        self._transport = transport
        self._call = call
        self._patience = patience
        self._log = get_logger("eventbus.publisher")

    async def send(self, outgoing: Sequence[Outgoing], *, timeout: float) -> Sequence[State]:
        try:
            await self._transport.send(
                [each.message for each in outgoing], timeout=timeout, patience=self._patience
            )
        except SendFailed as error:
            if not is_away(error):
                raise
            return await self._instead(outgoing, error)
        return [taken(each) for each in outgoing]

    async def _instead(self, outgoing: Sequence[Outgoing], error: SendFailed) -> Sequence[State]:
        fates = list(fates_of(error, len(outgoing)))
        is_taken = [fate is SendFate.CONFIRMED for fate in fates]
        if any(each.message.delay for each, it_is in zip(outgoing, is_taken, strict=True) if not it_is):
            raise error
        states: list[State] = []
        for at, (each, it_is) in enumerate(zip(outgoing, is_taken, strict=True)):
            if it_is:
                states.append(taken(each))
                continue
            fields = {"event_id": each.message.event_id, "event_type": each.message.event_type}
            try:
                await self._called(each.envelope)
            except Exception as failure:
                self._log.exception("event.not_degraded", **fields)
                error.know(fates, f"on_unavailable failed for {each.message.event_id}: {describe(failure)}")
                raise error from failure
            self._log.warning("event.degraded", **fields)
            fates[at] = SendFate.CONFIRMED
            states.append("degraded")
        return states

    async def _called(self, envelope: Envelope[Any]) -> None:
        """A plain function runs in a thread, as a handler does."""
        if is_async(self._call):
            await self._call(envelope)
        else:
            await call_in(None, self._call, envelope)


def is_away(error: SendFailed) -> bool:
    """Whether the broker may take later what it has not taken now, without anybody's doing here."""
    return not isinstance(error, PublishRefused)


def fates_of(error: SendFailed, count: int) -> Sequence[SendFate]:
    """Of so many messages; where there was no connection at all, none of them was sent."""
    return error.fates or (SendFate.NOT_SENT,) * count


def taken(outgoing: Outgoing) -> State:
    """By the broker."""
    return "scheduled" if outgoing.message.delay else "confirmed"


def kept(outgoing: Outgoing) -> State:
    """Here, until the broker has it."""
    return "scheduled" if outgoing.message.delay else "spooled"
