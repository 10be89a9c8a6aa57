"""Sends many messages and waits for the broker's confirms: pipelined, within a window, within a time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from eventbus.errors import (
    BrokerUnreachable,
    InvalidEvent,
    PublishRefused,
    PublishTimeout,
    SendFate,
    shorten,
)
from eventbus.rabbitmq.ask import Lost, Refused
from eventbus.rabbitmq.confirms import Call, ConfirmLane
from eventbus.rabbitmq.fields import short
from eventbus.rabbitmq.messages import properties_of
from eventbus.rabbitmq.options import RabbitMQOptions
from eventbus.rabbitmq.supervisor import Link
from eventbus.rabbitmq.topology import Route
from eventbus.rabbitmq.wire import Parcel
from eventbus.transport import Message


@dataclass(frozen=True, slots=True)
class Publication:
    """One message, and where it enters the broker."""

    message: Message
    route: Route


class _Sending:
    """What one send has come to so far."""

    def __init__(self, parcels: Sequence[Parcel]) -> None:
        self.parcels = parcels
        self.fates = [SendFate.NOT_SENT] * len(parcels)
        self.refusals: dict[int, str] = {}

    def left(self) -> Sequence[int]:
        """The positions of those that the broker has not answered for."""
        return [
            position
            for position, fate in enumerate(self.fates)
            if fate is not SendFate.CONFIRMED and position not in self.refusals
        ]

    def learn(self, positions: Sequence[int], call: Call) -> None:
        for position, fate in zip(positions, call.fates, strict=True):
            # What may have arrived the first time may still have, whatever became of it the second.
            if fate is not SendFate.NOT_SENT:
                self.fates[position] = fate
        for at, refusal in call.refusals.items():
            self.refusals[positions[at]] = refusal


class ConfirmedPublisher:
    """One kind of publishing, on a channel of its own: what closes it leaves other kinds alone."""

    def __init__(self, link: Link, options: RabbitMQOptions) -> None:
        self._link = link
        self._options = options
        self._url = link.url
        self._lane: ConfirmLane | None = None
        self._opening = asyncio.Lock()

    async def send(self, publications: Sequence[Publication], *, timeout: float) -> None:
        """Return when the broker has confirmed them all.

        Raises `InvalidEvent` before a byte is sent, or within `timeout` seconds a `SendFailed` with the fate
        of each: `PublishTimeout`, `PublishRefused` or `BrokerUnreachable`.
        """
        sending = _Sending([_parcel(publication) for publication in publications])
        if not sending.parcels:
            return
        try:
            async with asyncio.timeout(timeout):
                await self._send(sending, timeout)
        except TimeoutError:
            if (problem := self._link.problem) is not None:
                raise BrokerUnreachable(self._url, problem, sending.fates) from None
            why = f", which takes no messages: {shorten(blocked)}" if (blocked := self._link.blocked) else ""
            waited = f"no confirm within {timeout:g} s from {self._url}{why}"
            raise PublishTimeout(waited, sending.fates) from None
        except Lost as loss:
            raise BrokerUnreachable(self._url, str(loss), sending.fates) from loss
        except Refused as refusal:
            raise PublishRefused(f"{self._url} refused: {refusal}", sending.fates) from refusal
        if sending.refusals:
            first = sending.refusals[min(sending.refusals)]
            many = f"{len(sending.refusals)} of {len(sending.parcels)} refused by {self._url}: {first}"
            raise PublishRefused(many, sending.fates)

    async def _send(self, sending: _Sending, timeout: float) -> None:
        """A broker that restarts in good order says goodbye: what it did not confirm goes out once more.

        Nobody needs to hear of that. After any other loss the caller is told, and decides.
        """
        try:
            await self._try_to_send(sending, timeout)
        except Lost as loss:
            if not loss.is_goodbye:
                raise
            await self._try_to_send(sending, timeout)

    async def _try_to_send(self, sending: _Sending, timeout: float) -> None:
        positions = sending.left()
        call = Call(len(positions))
        try:
            lane = await self._open_lane(timeout)
            await lane.send([sending.parcels[position] for position in positions], call)
        finally:
            sending.learn(positions, call)

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
                    wire = await self._link.channel(within=timeout, confirms=True)
                    lane = self._lane = ConfirmLane(wire, self._options)
        await lane.unblocked()
        return lane


def _parcel(publication: Publication) -> Parcel:
    message, route = publication.message, publication.route
    short(route.routing_key, "routing_key")
    properties = properties_of(message)
    if len(properties) > _MOST_PROPERTIES:
        problem = f"take {len(properties)} bytes, {_MOST_PROPERTIES} are allowed"
        raise InvalidEvent("headers", problem, event_type=message.event_type)
    return Parcel(route.exchange, route.routing_key, route.mandatory, properties, message.body)


_MOST_PROPERTIES: Final = 131_000
"""Bytes. They have to fit one frame; more closes the connection, with everything on it."""
