"""One confirming channel: what is on its way, correlated with the broker's answers by delivery tag alone."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from eventbus.errors import SendFate
from eventbus.rabbitmq.ask import Lost
from eventbus.rabbitmq.options import RabbitMQOptions
from eventbus.rabbitmq.wire import Confirm, Parcel, Returned, Wire, publish_frames


class Call:
    """What is known of the messages of one send."""

    def __init__(self, count: int) -> None:
        self.fates = [SendFate.NOT_SENT] * count
        self.refusals: dict[int, str] = {}
        """By position: why the broker did not take it."""
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when the broker has answered for all, or will not any more."""
        self.unanswered = count
        self.is_waited_for = True

    def answer(self, position: int, fate: SendFate, refusal: str | None) -> None:
        self.fates[position] = fate
        if refusal is not None:
            self.refusals[position] = refusal
        self.unanswered -= 1
        if not self.unanswered:
            self.finish()

    def finish(self) -> None:
        if not self.over.done():
            self.over.set_result(None)


@dataclass(slots=True)
class _InFlight:
    call: Call
    position: int
    parcel: Parcel
    returned: str | None = None


class ConfirmLane:
    """A channel in confirm mode. Calls take turns, piece by piece: a long one does not hold up others."""

    def __init__(self, wire: Wire, options: RabbitMQOptions) -> None:
        self._wire = wire
        self._options = options
        self._turn = asyncio.Lock()
        self._room: asyncio.Future[None] | None = None
        self._in_flight: dict[int, _InFlight] = {}
        """By delivery tag."""
        self._next_tag = 1
        self._oldest_tag = 1
        # Of the messages in flight, those that somebody waits for: they take up the window.
        self._waited_for = 0
        self._bytes = 0
        wire.listen(on_confirm=self._confirmed, on_return=self._returned)
        wire.lost.add_done_callback(self._lost)

    @property
    def is_usable(self) -> bool:
        return self._wire.is_open

    async def unblocked(self) -> None:
        """Return when no alarm keeps the broker from taking messages on this connection."""
        await self._wire.channel.connection.ready()

    async def send(self, parcels: Sequence[Parcel], call: Call) -> None:
        """Return when the broker has answered for all, as `call` tells; else raise `Lost` or `Refused`."""
        try:
            sent = 0
            while sent < len(parcels):
                async with self._turn:
                    sent = await self._send_some(parcels, sent, call)
            if call.unanswered:
                await call.over
            if call.unanswered:
                raise self._wire.lost.result()
        finally:
            self._leave(call)

    async def close(self) -> None:
        await self._wire.close()

    async def _send_some(self, parcels: Sequence[Parcel], begin: int, call: Call) -> int:
        """Send as many as fit the window and one piece; the position of the first that is left."""
        await self._make_room(parcels, begin)
        end, size = begin + 1, parcels[begin].size
        while end < len(parcels) and size < _PIECE and self._fits(end + 1 - begin, size + parcels[end].size):
            size += parcels[end].size
            end += 1
        number, max_body = self._wire.number, self._wire.max_body
        payload = b"".join([publish_frames(number, parcel, max_body) for parcel in parcels[begin:end]])
        await self._wire.write(payload, within=self._options.answer_timeout)
        # Nothing waits between the writing and here: what was not written has no tag, and what was has one.
        for position in range(begin, end):
            call.fates[position] = SendFate.UNKNOWN
            self._in_flight[self._next_tag] = _InFlight(call, position, parcels[position])
            self._next_tag += 1
        self._waited_for += end - begin
        self._bytes += size
        return end

    async def _make_room(self, parcels: Sequence[Parcel], begin: int) -> None:
        """Wait until half the window is free, or what is left to send fits: small pieces would cost more."""
        wanted = min(len(parcels) - begin, max(1, self._options.confirm_window // 2))
        while self._waited_for and self._wire.is_open and not self._fits(wanted, parcels[begin].size):
            self._room = asyncio.get_running_loop().create_future()
            await self._room

    def _fits(self, count: int, size: int) -> bool:
        """Whether so many messages, of so many bytes together, fit the window beside those in flight."""
        return (
            self._waited_for + count <= self._options.confirm_window
            and self._bytes + size <= self._options.confirm_window_bytes
        )

    def _confirmed(self, confirm: Confirm) -> None:
        first = self._oldest_tag if confirm.multiple else confirm.tag
        for tag in range(first, confirm.tag + 1):
            if (flight := self._in_flight.pop(tag, None)) is not None:
                self._answer(flight, taken=confirm.taken)
        if confirm.multiple:
            self._oldest_tag = confirm.tag + 1
        self._look_again()

    def _answer(self, flight: _InFlight, *, taken: bool) -> None:
        if flight.call.is_waited_for:
            self._waited_for -= 1
            self._bytes -= flight.parcel.size
        if flight.returned is not None:
            flight.call.answer(flight.position, SendFate.NOT_SENT, flight.returned)
        elif taken:
            flight.call.answer(flight.position, SendFate.CONFIRMED, None)
        else:
            # Other queues may have taken their copies.
            flight.call.answer(flight.position, SendFate.UNKNOWN, "a queue is full, or not available")

    def _returned(self, returned: Returned) -> None:
        """A return names no delivery tag, but its key: nothing in flight under that key counts as taken."""
        problem = f"no queue takes {returned.routing_key} from exchange {returned.exchange}"
        for flight in self._in_flight.values():
            parcel = flight.parcel
            if parcel.routing_key == returned.routing_key and parcel.exchange == returned.exchange:
                flight.returned = problem

    def _leave(self, call: Call) -> None:
        """Nobody waits for the rest of it any more: a queue that cannot confirm must not fill the window."""
        call.is_waited_for = False
        if not call.unanswered:
            return
        left = [flight for flight in self._in_flight.values() if flight.call is call]
        self._waited_for -= len(left)
        self._bytes -= sum(flight.parcel.size for flight in left)
        self._look_again()
        if len(self._in_flight) - self._waited_for > _MOST_UNANSWERED:
            self._wire.end(Lost(f"{_MOST_UNANSWERED} messages were never confirmed"))

    def _lost(self, _: object) -> None:
        flights, self._in_flight = self._in_flight, {}
        for flight in flights.values():
            flight.call.finish()
        self._look_again()

    def _look_again(self) -> None:
        """Whoever waits for room may find it now."""
        if self._room is not None and not self._room.done():
            self._room.set_result(None)


_PIECE: Final = 64 * 1024
"""Bytes; about as much goes to the connection's writer at a time."""
_MOST_UNANSWERED: Final = 10_000
"""What a channel may remember of calls that gave up waiting; then a new one takes its place."""
