"""Sends many messages and waits for the broker's confirms: pipelined, within a window, within a time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from eventbus.deadlines import Deadlines, More
from eventbus.errors import (
    BrokerUnreachable,
    InvalidEvent,
    PublishRefused,
    PublishTimeout,
    QueueMissing,
    SendFailed,
    SendFate,
    shorten,
)
from eventbus.rabbitmq.ask import Lost, Refused
from eventbus.rabbitmq.confirms import Call, ConfirmLane
from eventbus.rabbitmq.fields import short
from eventbus.rabbitmq.frames import Parcel
from eventbus.rabbitmq.messages import properties_of
from eventbus.rabbitmq.options import RabbitMQOptions
from eventbus.rabbitmq.supervisor import Link, LinkState
from eventbus.rabbitmq.topology import Route
from eventbus.transport import Message


class ConfirmedPublisher:
    """One kind of publishing, on a channel of its own: what closes it leaves other kinds alone."""

    def __init__(self, link: Link, options: RabbitMQOptions) -> None:
        self._link = link
        self._options = options
        self._url = link.url
        self._lane: ConfirmLane | None = None
        self._opening = asyncio.Lock()
        self._deadlines = Deadlines()
        self.underway = 0
        """Messages that somebody waits for here."""

    def connect_soon(self) -> None:
        """In the background, if nobody has before."""
        self._link.begin()

    @property
    def is_connected(self) -> bool:
        """And not blocked."""
        return self._link.state is LinkState.CONNECTED

    async def send(self, parcels: Sequence[Parcel], *, timeout: float, patience: float | None = None) -> None:
        """Return when the broker has confirmed them all.

        Raises within `timeout` seconds a `SendFailed` with the fate of each: `PublishTimeout`,
        `PublishRefused` or `BrokerUnreachable`; sooner where it confirms nothing here for `patience` seconds.
        """
        if not parcels:
            return
        call = Call(parcels)
        limit = timeout if patience is None else min(patience, timeout)
        more = self._more(timeout, limit) if limit < timeout else None
        self.underway += len(parcels)
        try:
            await self._deadlines.within(limit, self._send(call, timeout), more)
        except TimeoutError:
            if call.left():  # else the last answer came in the moment in which the time was up
                raise self._timed_out(call, limit) from None
        except Lost as loss:
            raise BrokerUnreachable(self._url, str(loss), call.fates) from loss
        except Refused as refusal:
            raise PublishRefused(f"{self._url} refused: {refusal}", call.fates) from refusal
        finally:
            self.underway -= len(parcels)
        if call.refusals:
            first = min(call.refusals)
            many = f"{len(call.refusals)} of {len(parcels)} refused by {self._url}: {call.refusals[first]}"
            # Returned is only what is for one queue; the one that is full may have taken it all the same.
            is_returned = call.fates[first] is SendFate.NOT_SENT
            raise (QueueMissing if is_returned else PublishRefused)(many, call.fates)

    def _more(self, timeout: float, patience: float) -> More:
        """A broker that has confirmed something since is there, and busy with what came before."""
        ends_at = time.monotonic() + timeout
        heard = self._heard

        def more() -> float:
            nonlocal heard
            before, heard = heard, self._heard
            return 0.0 if heard == before else min(patience, ends_at - time.monotonic())

        return more

    @property
    def _heard(self) -> object:
        """Another one whenever the broker has answered."""
        return self._lane, None if self._lane is None else self._lane.answers

    def _timed_out(self, call: Call, limit: float) -> SendFailed:
        """Of the rest of the call; it may have been given more than the limit."""
        if (problem := self._link.problem) is not None:
            return BrokerUnreachable(self._url, problem, call.fates)
        why = f", which takes no messages: {shorten(blocked)}" if (blocked := self._link.blocked) else ""
        return PublishTimeout(f"no confirm within {limit:g} s from {self._url}{why}", call.fates)

    async def _send(self, call: Call, timeout: float) -> None:
        """A broker that restarts in good order says goodbye: what it did not confirm goes out once more.

        Nobody needs to hear of that. After any other loss the caller is told, and decides.
        """
        try:
            lane = await self._open_lane(timeout)
            await lane.send(call)
        except Lost as loss:
            if not loss.is_goodbye:
                raise
            await self._send_again(call, timeout)

    async def _send_again(self, call: Call, timeout: float) -> None:
        positions = call.left()
        again = Call([call.parcels[position] for position in positions])
        try:
            lane = await self._open_lane(timeout)
            await lane.send(again)
        finally:
            call.learn(positions, again)

    async def close(self) -> None:
        if self._lane is not None:
            await self._lane.close()

    async def _open_lane(self, timeout: float) -> ConfirmLane:
        """The lane in use, or a new one; never on a connection that the broker has blocked."""
        if (lane := self._lane) is None or not lane.is_usable:
            async with self._opening:
                if (lane := self._lane) is None or not lane.is_usable:
                    if lane is not None:
                        await lane.close()
                    # The limit around all of it comes first, and knows better what to say.
                    within = timeout + self._options.answer_timeout
                    wire = await self._link.channel(within=within, confirms=True)
                    lane = self._lane = ConfirmLane(wire, self._options)
        if self._link.blocked is not None:
            await lane.unblocked()
        return lane


def parcel(message: Message, route: Route) -> Parcel:
    """The message as it enters the broker there; raises `InvalidEvent` for what AMQP cannot express."""
    _check_key(route.routing_key)
    properties = properties_of(message)
    if len(properties) > _MOST_PROPERTIES:
        problem = f"take {len(properties)} bytes, {_MOST_PROPERTIES} are allowed"
        raise InvalidEvent("headers", problem, event_type=message.event_type)
    return Parcel(route, properties, message.body)


@lru_cache(maxsize=1024)
def _check_key(routing_key: str) -> None:
    short(routing_key, "routing_key")


_MOST_PROPERTIES: Final = 131_000
"""Bytes. They have to fit one frame; more closes the connection, with everything on it."""
