"""The history as if it came from a queue: handed over in its order, settled, and remembered how far."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from eventbus.catchup.copies import Copies
from eventbus.catchup.reading import Reading
from eventbus.codec import Codec
from eventbus.errors import Unreadable
from eventbus.history import Piece, Place, Wanted
from eventbus.logs import get_logger
from eventbus.outcome import Ack, Outcome
from eventbus.transport import Delivery, Message

NOTE_EVERY: Final = 1.0
"""Seconds between two notes of how far it is: so much is read again after a kill."""
_AHEAD: Final = 2000
"""Deliveries that may be read and not settled, most of them behind others of their keys."""
_OF_MISSING: Final = (
    "the log's retention, or a broker's disk, took them before they were read: keep the log for longer "
    "(EVENTBUS_LOG_MAX_AGE_DAYS, EVENTBUS_LOG_MAX_BYTES), or run `eventbus archive`"
)

Note = Callable[[Place, int], Awaitable[None]]
"""Told up to where everything is handled, and how many entries that were since the last time."""


@dataclass(slots=True, eq=False)
class _Open:
    """A piece of which something is not handled yet."""

    place: Place
    size: int
    left: int


@dataclass(frozen=True, slots=True, eq=False)
class _Ticket:
    """The tag of a delivery."""

    piece: _Open
    key: str | None


class HistoryConsumption:
    """A `Consumption`. It ends when the history is through and everything of it is settled.

    Of events with one key, each is handed over when the one before it is settled: their order is kept
    however many are handled side by side. With `by_key=False` keys are not looked at, so that one at a time
    has the order of the log, and a batch of one key gets full. A retry goes to the subscription's queue, for
    later. While no more can be read, what was read is handled.
    """

    def __init__(
        self,
        queue: str,
        reading: Reading,
        wanted: Wanted,
        *,
        prefetch: int,
        by_key: bool,
        copies: Copies,
        codec: Codec,
        note: Note,
    ) -> None:
        self.losses = 0
        self._queue = queue
        self._reading = reading
        self._wanted = wanted
        self._prefetch = prefetch
        self._by_key = by_key
        self._copies = copies
        self._codec = codec
        self._note = note
        self._pieces: deque[_Open] = deque()
        self._ready: deque[Delivery] = deque()
        self._lanes: dict[str, deque[Delivery]] = {}
        """By the keys that are in flight: what waits behind."""
        self._in_flight: set[_Ticket] = set()
        self._unsettled = 0
        self._place: Place | None = None
        self._handled = 0
        self._is_through = False
        self._stopped = False
        self._error: Exception | None = None
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._log = get_logger("eventbus.catchup").bind(subscription=queue)

    async def __aenter__(self) -> Self:
        self._tasks = [
            asyncio.create_task(self._guarded(self._read()), name=f"history for {self._queue}"),
            asyncio.create_task(self._guarded(self._note_again_and_again()), name=f"notes of {self._queue}"),
        ]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)
        await self._note_down()

    @property
    def has_ended(self) -> bool:
        """Whether all of it is handled."""
        return self._is_through and not self._unsettled

    def __aiter__(self) -> AsyncIterator[Sequence[Delivery]]:
        return self._batches()

    async def settle(self, outcomes: Sequence[tuple[Delivery, Outcome]]) -> None:
        done = [delivery for delivery, outcome in outcomes if isinstance(outcome, Ack)]
        others = [(delivery, outcome) for delivery, outcome in outcomes if not isinstance(outcome, Ack)]
        self._settled(done)
        if others and await self._copies.send([(each.message, outcome) for each, outcome in others]):
            self._settled([delivery for delivery, _ in others])

    async def stop(self) -> None:
        self._stopped = True
        self._reading.stop()
        self._copies.stop()
        self._wake.set()
        self._room.set()

    async def _batches(self) -> AsyncIterator[Sequence[Delivery]]:
        while not self._stopped and not self.has_ended:
            if self._error is not None:
                raise self._error
            if batch := self._next():
                yield batch
            else:
                await self._wake.wait()
            self._wake.clear()

    def _next(self) -> list[Delivery]:
        free = self._prefetch - len(self._in_flight)
        batch = [self._ready.popleft() for _ in range(min(free, len(self._ready)))]
        self._in_flight.update(_ticket(delivery) for delivery in batch)
        return batch

    async def _read(self) -> None:
        async with aclosing(self._reading.pieces()) as pieces:
            async for piece in pieces:
                self._take(piece)
                while self._unsettled > _AHEAD and not self._stopped:
                    self._room.clear()
                    await self._room.wait()
                if self._stopped:
                    return
        self._is_through = not self._stopped
        self._wake.set()

    def _take(self, piece: Piece) -> None:
        if piece.missing:
            self._log.error("catch_up.missing", entries=piece.missing, advice=_OF_MISSING)
        wanted = self._of_use(piece.messages)
        opened = _Open(piece.place, len(piece.messages), len(wanted))
        self._pieces.append(opened)
        self._unsettled += len(wanted)
        for message in wanted:
            key = self._key(message)
            delivery = Delivery(message, self._queue, 1, redelivered=False, tag=_Ticket(opened, key))
            if key is None:
                self._ready.append(delivery)
            elif (lane := self._lanes.get(key)) is not None:
                lane.append(delivery)
            else:
                self._lanes[key] = deque()
                self._ready.append(delivery)
        self._advance()
        self._wake.set()

    def _of_use(self, messages: Sequence[Message]) -> list[Message]:
        """What cannot be read is of use too: it ends in the dead letters, as it would from the queue."""
        ours = [message for message in messages if self._wanted.has_type(message)]
        if self._wanted.period.since is None:
            return ours
        return [message for message in ours if self._is_late_enough(message)]

    def _is_late_enough(self, message: Message) -> bool:
        try:
            return self._codec.decode(message) in self._wanted
        except Unreadable:
            return True

    def _key(self, message: Message) -> str | None:
        if not self._by_key or b'"key"' not in message.body:
            return None
        try:
            return self._codec.decode(message).key
        except Unreadable:
            return None

    def _settled(self, deliveries: Sequence[Delivery]) -> None:
        for delivery in deliveries:
            ticket = _ticket(delivery)
            if ticket not in self._in_flight:
                continue
            self._in_flight.remove(ticket)
            ticket.piece.left -= 1
            self._unsettled -= 1
            if ticket.key is not None:
                self._free(ticket.key)
        self._advance()
        self._wake.set()
        self._room.set()

    def _free(self, key: str) -> None:
        if lane := self._lanes[key]:
            self._ready.append(lane.popleft())
        else:
            del self._lanes[key]

    def _advance(self) -> None:
        while self._pieces and not self._pieces[0].left:
            piece = self._pieces.popleft()
            self._place = piece.place
            self._handled += piece.size

    async def _note_again_and_again(self) -> None:
        while True:
            await asyncio.sleep(NOTE_EVERY)
            await self._note_down()

    async def _note_down(self) -> None:
        if self._place is not None:
            place, handled = self._place, self._handled
            self._place, self._handled = None, 0
            await self._note(place, handled)

    async def _guarded(self, work: Awaitable[None]) -> None:
        """Its error ends the consumption."""
        try:
            await work
        except Exception as error:  # noqa: BLE001 -- whoever consumes must hear of it
            self._error = error
            self._wake.set()


def _ticket(delivery: Delivery) -> _Ticket:
    if not isinstance(delivery.tag, _Ticket):
        raise TypeError(f"a delivery of another consumption: {delivery.tag!r}")
    return delivery.tag
