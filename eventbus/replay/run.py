"""Runs one replay: reads the history, sends what is wanted of it to one queue, and notes how far it is."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace
from typing import Final

from eventbus.clock import Clock
from eventbus.codec import Codec
from eventbus.errors import InvalidEvent, SendFailed, Unreadable, describe, shorten
from eventbus.headers import REPLAY_ID, REPROCESS, for_redrive
from eventbus.history import History, Piece, read_ahead
from eventbus.logbook import Logbook, OutOfHand
from eventbus.logs import get_logger
from eventbus.pace import Pace
from eventbus.replay.state import KIND, Replay, State
from eventbus.store import StoreUnavailable
from eventbus.transport import Message, Transport
from eventbus.waiting import Outage

PAUSE: Final = "pause"
CANCEL: Final = "cancel"
"""What somebody else can wish of a running replay."""

_ENDS: Final[dict[str, State]] = {PAUSE: "paused", CANCEL: "cancelled"}

Tell = Callable[[Replay], None]

_TOGETHER: Final = 2000
_TIMEOUT: Final = 10.0
"""Seconds that the broker gets for them."""
_NOTE_EVERY: Final = 0.5
_MOST_TOLD: Final = 20


@dataclass(frozen=True, slots=True)
class Means:
    """What a replay works with."""

    transport: Transport
    history: History
    logbook: Logbook
    codec: Codec
    clock: Clock
    bus: str
    """Which it is; see `whose.bus_of`."""


class _Ended(Exception):
    """Somebody has wished it."""

    def __init__(self, state: State) -> None:
        self.state: State = state
        super().__init__(state)


class Run:
    """Its page is in our hand."""

    def __init__(self, means: Means, replay: Replay, tell: Tell) -> None:
        self._means = means
        self._replay = replay
        self._tell = tell
        self._pace = Pace(replay.request.rate, means.clock, batch=_TOGETHER)
        self._noted = time.monotonic()
        self._log = get_logger("eventbus.replay").bind(
            replay=replay.id, subscription=replay.request.subscription
        )

    async def __call__(self) -> Replay:
        """To its end, or until somebody wishes it to pause or to be cancelled."""
        self._tell(self._replay)
        try:
            await self._send_all()
            return await self._end("done")
        except _Ended as ended:
            return await self._end(ended.state)
        except BaseException:
            with suppress(StoreUnavailable, OutOfHand):  # what is raised is why it ends
                await self._note()  # so that it goes on from here, and not from the last note
            raise

    async def _send_all(self) -> None:
        """A broker or an archive that cannot be read is waited for. Raises `_Ended`."""
        outage = Outage(self._log.warning, "replay.waiting")
        while True:
            try:
                async with aclosing(self._pieces()) as pieces:
                    async for piece in pieces:
                        await self._piece(piece)
                        outage.is_over()
            except (SendFailed, StoreUnavailable) as error:
                pause = outage.pause(error)
                await self._note_in_time()
                await self._means.clock.sleep(pause)
            else:
                return

    def _pieces(self) -> AsyncGenerator[Piece]:
        """From where it is to its end."""
        replay = self._replay
        reading = self._means.history.read(replay.place, until=replay.end, since=replay.request.since)
        return read_ahead(reading)

    async def _piece(self, piece: Piece) -> None:
        """Raises `_Ended`."""
        wanted, unreadable = self._replay.wanted.pick(piece.messages, self._means.codec)
        self._report(unreadable)
        for begin in range(0, len(wanted), self._pace.batch):
            some = wanted[begin : begin + self._pace.batch]
            await self._pace.wait(len(some))
            sent = await self._send([self._addressed(message) for message in some])
            self._replay = replace(self._replay, sent=self._replay.sent + sent)
            await self._note_in_time()
        self._replay = replace(
            self._replay,
            place=piece.place,
            read=self._replay.read + len(piece.messages),
            unreadable=self._replay.unreadable + len(unreadable),
            missing=self._replay.missing + piece.missing,
        )
        await self._note_in_time()

    def _addressed(self, message: Message) -> Message:
        """The same bytes and event_id, to one queue."""
        headers = {**for_redrive(message.headers), REPLAY_ID: self._replay.id}
        if self._replay.request.reprocess:
            headers[REPROCESS] = True
        return replace(message, headers=headers, queue=self._replay.request.subscription)

    async def _send(self, messages: Sequence[Message]) -> int:
        """How many have gone; tried until the broker takes them."""
        outage = Outage(self._log.warning, "replay.waiting")
        while True:
            try:
                await self._means.transport.send(messages, timeout=_TIMEOUT)
            except SendFailed as error:
                pause = outage.pause(error)
                await self._note_in_time()
                await self._means.clock.sleep(pause)
            except InvalidEvent as error:
                return await self._one_by_one(messages, error)
            else:
                return len(messages)

    async def _one_by_one(self, messages: Sequence[Message], error: InvalidEvent) -> int:
        """Nothing of the call was sent, for one of them cannot travel any more: that one is left out."""
        if len(messages) > 1:
            return sum([await self._send([message]) for message in messages])
        self._log.warning("replay.left_out", problem=describe(error))
        self._replay = replace(self._replay, unreadable=self._replay.unreadable + 1)
        return 0

    async def _note_in_time(self) -> None:
        """Raises `_Ended` where somebody wishes it."""
        if time.monotonic() - self._noted < _NOTE_EVERY:
            return
        try:
            wish = await self._note()
        except StoreUnavailable as error:  # it may be back before the next note
            self._log.warning("replay.not_noted", problem=error.problem)
            return
        if (state := _ENDS.get(wish)) is not None:
            raise _Ended(state)

    async def _note(self) -> str:
        """What somebody wishes."""
        self._replay = replace(self._replay, noted_at=self._means.clock.now())
        self._noted = time.monotonic()
        self._tell(self._replay)
        page = await self._means.logbook.write(KIND, self._replay.id, self._replay.text())
        return page.wish

    async def _end(self, state: State) -> Replay:
        """All is sent, or enough: a store that is away is waited for, so that nobody sends it again."""
        self._replay = replace(self._replay, state=state)
        outage = Outage(self._log.warning, "replay.not_noted")
        while True:
            try:
                await self._note()
            except StoreUnavailable as error:
                await self._means.clock.sleep(outage.pause(error))
            else:
                return self._replay

    def _report(self, unreadable: Sequence[Unreadable]) -> None:
        for error in unreadable[: max(0, _MOST_TOLD - self._replay.unreadable)]:
            self._log.warning("replay.unreadable", reason=str(error.reason), problem=shorten(str(error)))
