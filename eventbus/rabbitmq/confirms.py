"""One confirming channel: what is on its way, correlated with the broker's answers by delivery tag alone."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Final

from eventbus.errors import SendFate
from eventbus.rabbitmq.ask import Lost
from eventbus.rabbitmq.frames import Parcel, publish_frames
from eventbus.rabbitmq.listening import Confirm, Returned
from eventbus.rabbitmq.options import RabbitMQOptions
from eventbus.rabbitmq.wire import Wire


class Call:
    """What is known of the messages of one send."""

    __slots__ = ("fates", "is_waited_for", "over", "parcels", "refusals", "sent", "unanswered")

    def __init__(self, parcels: Sequence[Parcel]) -> None:
        self.parcels = parcels
        self.fates = [SendFate.NOT_SENT] * len(parcels)
        self.refusals: dict[int, str] = {}
        """By position: why the broker did not take it."""
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when the broker has answered for all, or will not any more."""
        self.sent = 0
        self.unanswered = len(parcels)
        self.is_waited_for = True

    def answer(self, position: int, fate: SendFate) -> None:
        self.fates[position] = fate
        self.unanswered -= 1
        if not self.unanswered:
            self.finish()

    def finish(self) -> None:
        if not self.over.done():
            self.over.set_result(None)

    def left(self) -> Sequence[int]:
        """The positions of those that the broker has not answered for."""
        return [
            position
            for position, fate in enumerate(self.fates)
            if fate is not SendFate.CONFIRMED and position not in self.refusals
        ]

    def learn(self, positions: Sequence[int], again: Call) -> None:
        """From another try of some of them."""
        for position, fate in zip(positions, again.fates, strict=True):
            # What may have arrived the first time may still have, whatever became of it the second.
            if fate is not SendFate.NOT_SENT:
                self.fates[position] = fate
        for at, refusal in again.refusals.items():
            self.refusals[positions[at]] = refusal


_InFlight = tuple[Call, int, int]
"""Whose it is, its position there, and its size in bytes."""


class ConfirmLane:
    """A channel in confirm mode. Calls take turns, piece by piece: a long one does not hold up others."""

    def __init__(self, wire: Wire, options: RabbitMQOptions) -> None:
        self._wire = wire
        self._window = options.confirm_window
        self._window_bytes = options.confirm_window_bytes
        self._calls: deque[Call] = deque()
        """Those that are not sent to the end."""
        self._in_flight: dict[int, _InFlight] = {}
        """By delivery tag."""
        self._returns: dict[int, str] = {}
        """By delivery tag: why the broker gave it back."""
        self._next_tag = 1
        self.answers = 0
        """Confirms that have come, of one event or of several."""
        # Of the messages in flight, those that somebody waits for: they take up the window.
        self._waited_for = 0
        self._bytes = 0
        self._goes_on_soon = False
        self._loop = asyncio.get_running_loop()
        wire.listen(
            on_confirm=self._confirmed, on_return=self._returned, on_room=lambda _: self._go_on_soon()
        )
        wire.lost.add_done_callback(self._lost)

    @property
    def is_usable(self) -> bool:
        return self._wire.is_open

    async def unblocked(self) -> None:
        """Return when no alarm keeps the broker from taking messages on this connection."""
        await self._wire.channel.connection.ready()

    async def send(self, call: Call) -> None:
        """Return when the broker has answered for all, as `call` tells; else raise `Lost` or `Refused`."""
        if not self._wire.is_open:
            raise self._wire.lost.result()
        self._calls.append(call)
        if len(self._calls) == 1:  # nobody is before it
            self._go_on()
        try:
            await call.over
            if call.unanswered:
                raise self._wire.lost.result()
        finally:
            self._leave(call)

    async def close(self) -> None:
        await self._wire.close()

    def _go_on(self) -> None:
        """Send as much as fits, of each call one piece at a time."""
        self._goes_on_soon = False
        wire, calls = self._wire, self._calls
        while calls and wire.is_open and not wire.is_full:
            call = calls[0]
            if call.is_waited_for and not self._send_piece(call):
                return
            calls.popleft()
            if call.is_waited_for and call.sent < len(call.parcels):
                calls.append(call)

    def _send_piece(self, call: Call) -> bool:
        """Whether there was room for any of it: beside others, or alone if it is larger than the window."""
        parcels, fates, in_flight, wire = call.parcels, call.fates, self._in_flight, self._wire
        tag, waited_for, held, piece = self._next_tag, self._waited_for, self._bytes, 0
        most, most_bytes, number, max_body = self._window, self._window_bytes, wire.number, wire.max_body
        is_alone = len(parcels) == 1 and not in_flight
        parts = list[bytes]()
        position = call.sent
        for position in range(call.sent, len(parcels)):
            parcel = parcels[position]
            size = len(parcel.body) + len(parcel.properties)
            if waited_for and (waited_for >= most or held + size > most_bytes or piece >= _PIECE):
                break
            parts += publish_frames(number, parcel, max_body)
            fates[position] = SendFate.UNKNOWN
            in_flight[tag] = call, position, size
            tag += 1
            waited_for += 1
            held += size
            piece += size
        else:
            position = len(parcels)
        has_room, call.sent = position > call.sent, position
        self._next_tag, self._waited_for, self._bytes = tag, waited_for, held
        if parts:
            wire.put(b"".join(parts), at_once=is_alone)
        return has_room

    def _confirmed(self, confirm: Confirm) -> None:
        self.answers += 1
        last, in_flight, is_plain = confirm.tag, self._in_flight, confirm.taken and not self._returns
        for tag in range(next(iter(in_flight), last) if confirm.multiple else last, last + 1):
            if (flight := in_flight.pop(tag, None)) is None:
                continue
            call, position, size = flight
            if call.is_waited_for:
                self._waited_for -= 1
                self._bytes -= size
            if is_plain:  # as `answer` does
                call.fates[position] = SendFate.CONFIRMED
                call.unanswered -= 1
                if not call.unanswered:
                    call.finish()
            else:
                self._answer(tag, call, position, taken=confirm.taken)
        self._go_on_soon()

    def _answer(self, tag: int, call: Call, position: int, *, taken: bool) -> None:
        if (returned := self._returns.pop(tag, None)) is not None:
            call.refusals[position] = returned
            call.answer(position, SendFate.NOT_SENT)
        elif taken:
            call.answer(position, SendFate.CONFIRMED)
        else:
            # Other queues may have taken their copies.
            call.refusals[position] = "a queue is full, or not available"
            call.answer(position, SendFate.UNKNOWN)

    def _returned(self, returned: Returned) -> None:
        """A return names no delivery tag, but its key: nothing in flight under that key counts as taken."""
        problem = f"no queue takes {returned.routing_key} from exchange {returned.exchange}"
        for tag, (call, position, _) in self._in_flight.items():
            route = call.parcels[position].route
            if route.routing_key == returned.routing_key and route.exchange == returned.exchange:
                self._returns[tag] = problem

    def _leave(self, call: Call) -> None:
        """Nobody waits for the rest of it any more: a queue that cannot confirm must not fill the window."""
        call.is_waited_for = False
        if not call.unanswered:
            return
        left = [size for of, _, size in self._in_flight.values() if of is call]
        self._waited_for -= len(left)
        self._bytes -= sum(left)
        self._go_on_soon()
        if len(self._in_flight) - self._waited_for > _MOST_UNANSWERED:
            self._wire.end(Lost(f"{_MOST_UNANSWERED} messages were never confirmed"))

    def _lost(self, _: object) -> None:
        flights, self._in_flight = self._in_flight, {}
        for call, _, _ in flights.values():
            call.finish()
        for call in self._calls:
            call.finish()
        self._calls.clear()

    def _go_on_soon(self) -> None:
        """When all answers that came together are read: what they make room for leaves together."""
        if self._calls and not self._goes_on_soon:
            self._goes_on_soon = True
            self._loop.call_soon(self._go_on)


_PIECE: Final = 64 * 1024
"""Bytes of one call that are sent before others have their turn."""
_MOST_UNANSWERED: Final = 10_000
"""What a channel may remember of calls that gave up waiting; then a new one takes its place."""
