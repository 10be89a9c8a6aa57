"""The replays of a bus: begun, listed, paused, resumed, cancelled. Their pages outlive their processes."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from datetime import datetime
from typing import Final

from uuid_utils import uuid7

from eventbus.errors import ConfigurationError, EventBusError
from eventbus.history import Piece, Place
from eventbus.leaving import Leaving
from eventbus.logbook import Page
from eventbus.logs import get_logger
from eventbus.pace import SLOWEST, is_rate
from eventbus.replay.run import CANCEL, PAUSE, Means, Run, Tell
from eventbus.replay.state import KIND, Replay, ReplayRequest, replay_of
from eventbus.store import StoreUnavailable
from eventbus.topic import check_pattern

_TURN: Final = "replaying"
"""Of the page, named after the subscription and the bus, that one replay at a time has in hand."""
_ENDED: Final = ("done", "cancelled")


def silent(_: Replay) -> None:
    """Tell nobody."""


class Replays:
    def __init__(self, means: Means) -> None:
        self._means = means
        self._leave = Leaving(means.logbook)

    async def prepare(self, request: ReplayRequest) -> Replay:
        """What would be done, and nothing of it done.

        Raises `TopologyError` for an unknown subscription; `InvalidReplay`, also where the broker does not
        tell what it is bound to and the request names no types.
        """
        now = self._means.clock.now()
        _check(request, now)
        patterns = await self._patterns(request)
        bounds = await self._means.history.bounds()
        return Replay(
            id=f"rpl_{uuid7().hex}",
            request=request,
            patterns=patterns,
            end=bounds.end,
            total=await self._means.history.size(bounds),
            began_at=now,
            noted_at=now,
            bus=self._means.bus,
        )

    async def count(self, replay: Replay, tell: Tell = silent) -> tuple[Replay, Counter[str]]:
        """What it would come to, and how many events of each type that would be; nothing is sent."""
        types: Counter[str] = Counter()
        reading = self._means.history.read(Place(), until=replay.end, since=replay.request.since)
        async with aclosing(reading) as pieces:
            async for piece in pieces:
                wanted, unreadable = replay.wanted.pick(piece.messages, self._means.codec)
                types.update(message.routing_key for message in wanted)
                replay = _counted(replay, piece, len(wanted), len(unreadable))
                tell(replay)
        return replace(replay, state="done"), types

    async def run(self, replay: Replay, tell: Tell = silent) -> Replay:
        """Begin it; returns when it is done, paused or cancelled. Raises `ReplayRunning`.

        Where this process is ended meanwhile, another one can `resume` it.
        """
        async with self._in_turn(replay):
            await self._take(KIND, replay.id, replay.text())
            return await self._carried_out(replay, tell)

    async def resume(self, replay_id: str, tell: Tell = silent, *, rate: float | None = None) -> Replay:
        """Go on with one that was paused or interrupted; at its rate, or another.

        Raises `NoSuchReplay`, `ReplayRunning`, and `InvalidReplay` for one that has ended or is of another
        bus, and for no rate.
        """
        _check_rate(rate)
        replay = await self.find(replay_id)
        if replay.state in _ENDED:
            raise InvalidReplay(f"{replay_id} is {replay.state}", "Begin a new one")
        if replay.bus not in ("", self._means.bus):
            raise InvalidReplay(f"{replay_id} is of another bus, {replay.bus}", "Resume it there")
        async with self._in_turn(replay):
            replay = await self._taken(replay)
            request = replay.request if rate is None else replace(replay.request, rate=rate)
            return await self._carried_out(replace(replay, state="running", request=request), tell)

    async def all(self) -> list[Replay]:
        """The oldest first."""
        pages = await self._means.logbook.pages(KIND)
        return [replay_of(page.text, is_in_hand=page.is_in_hand) for page in pages]

    async def find(self, replay_id: str) -> Replay:
        """Raises `NoSuchReplay`."""
        page = await self._means.logbook.page(KIND, replay_id)
        if page is None:
            raise NoSuchReplay(replay_id)
        return replay_of(page.text, is_in_hand=page.is_in_hand)

    async def pause(self, replay_id: str) -> Replay:
        """Ask for it; it is so a moment later.

        Raises `NoSuchReplay`, `InvalidReplay` for one that does not run.
        """
        replay = await self.find(replay_id)
        if replay.state != "running":
            raise InvalidReplay(
                f"{replay_id} is {replay.state}, it does not run", "There is nothing to pause"
            )
        await self._means.logbook.ask(KIND, replay_id, PAUSE)
        return replay

    async def cancel(self, replay_id: str) -> Replay:
        """Ask for it, or where it does not run, do it.

        Raises `NoSuchReplay`, `InvalidReplay` for one that has ended.
        """
        replay = await self.find(replay_id)
        if replay.state in _ENDED:
            raise InvalidReplay(f"{replay_id} is {replay.state}", "There is nothing to cancel")
        if replay.state == "running":
            await self._means.logbook.ask(KIND, replay_id, CANCEL)
            return replay
        try:
            cancelled = replace(await self._taken(replay), state="cancelled")
        except ReplayRunning:  # it was resumed this moment
            await self._means.logbook.ask(KIND, replay_id, CANCEL)
            return replay
        try:
            await self._means.logbook.write(KIND, replay_id, cancelled.text())
        finally:
            await self._leave(KIND, replay_id)
        return cancelled

    async def _taken(self, replay: Replay) -> Replay:
        """As it is now that its page is in our hand: it may have gone on since it was looked at.

        Raises `ReplayRunning`, and `InvalidReplay` where it has ended.
        """
        is_ours, page = await self._take(KIND, replay.id, replay.text())
        if not is_ours:
            raise ReplayRunning(replay.request.subscription, replay.id)
        now = replay_of(page.text, is_in_hand=False)
        if now.state in _ENDED:
            await self._leave(KIND, replay.id)
            raise InvalidReplay(f"{replay.id} is {now.state} by now", "Begin a new one")
        return now

    async def _carried_out(self, replay: Replay, tell: Tell) -> Replay:
        try:
            return await Run(self._means, replay, tell)()
        finally:
            await self._leave(KIND, replay.id)

    @asynccontextmanager
    async def _in_turn(self, replay: Replay) -> AsyncGenerator[None]:
        """One replay at a time for each subscription; raises `ReplayRunning`."""
        subscription = replay.request.subscription
        turn = f"{subscription} {self._means.bus}"
        is_ours, page = await self._take(_TURN, turn, replay.id)
        if not is_ours:
            raise ReplayRunning(subscription, page.text)
        try:
            await self._means.logbook.write(_TURN, turn, replay.id)
            yield
        finally:
            await self._leave(_TURN, turn)

    async def _take(self, kind: str, name: str, text: str) -> tuple[bool, Page]:
        """Whether it is in our hand from now on; not where this raises."""
        await self._leave.before_taking(kind, name)
        try:
            return await self._means.logbook.take(kind, name, text)
        except (StoreUnavailable, asyncio.CancelledError):  # and nobody knows whether it is
            await self._leave(kind, name)
            raise

    async def _patterns(self, request: ReplayRequest) -> tuple[str, ...]:
        try:
            return tuple(await self._means.transport.patterns(request.subscription))
        except ConfigurationError as error:
            if not request.types:
                why = str(error).rstrip(".")
                remedy = f"Name the types of events, as in types=('order.*',) or --type: {why}"
                raise InvalidReplay("what the subscription is bound to is not known", remedy) from error
            get_logger("eventbus.replay").warning("replay.bindings_unknown", problem=str(error))
            return ("#",)


class InvalidReplay(EventBusError):
    """It cannot be done as it was asked for; nothing was sent."""

    def __init__(self, problem: str, remedy: str) -> None:
        self.problem = problem
        self.remedy = remedy
        super().__init__(f"replay: {problem}. {remedy}.")


class NoSuchReplay(EventBusError):
    def __init__(self, replay_id: str) -> None:
        self.replay_id = replay_id
        super().__init__(
            f"there is no replay {replay_id} in this store: `eventbus replay list` shows those there are."
        )


class ReplayRunning(EventBusError):
    """Two at once would bring the same events twice, at twice the rate."""

    def __init__(self, subscription: str, replay_id: str) -> None:
        self.subscription = subscription
        self.replay_id = replay_id
        super().__init__(
            f"{subscription}: the replay {replay_id} is running. Wait for it, or end it: "
            f"`eventbus replay cancel {replay_id}`."
        )


def _check(request: ReplayRequest, now: datetime) -> None:
    for pattern in request.types:
        check_pattern(pattern)
    for name, moment in (("since", request.since), ("until", request.until)):
        if moment is not None and moment.utcoffset() is None:
            raise InvalidReplay(f"{name} has no time zone", "Write datetime(…, tzinfo=UTC)")
        if moment is not None and moment > now:
            raise InvalidReplay(
                f"{name}={moment.isoformat()} is in the future", "History is what has happened"
            )
    if request.since is not None and request.until is not None and request.since >= request.until:
        raise InvalidReplay("since is not before until", "Then there is nothing between them")
    _check_rate(request.rate)


def _check_rate(rate: float | None) -> None:
    if rate is not None and not is_rate(rate):
        raise InvalidReplay(f"rate={rate}", f"Use events a second, {SLOWEST:.5f} or more, or None")


def _counted(replay: Replay, piece: Piece, wanted: int, unreadable: int) -> Replay:
    return replace(
        replay,
        read=replay.read + len(piece.messages),
        sent=replay.sent + wanted,
        unreadable=replay.unreadable + unreadable,
        missing=replay.missing + piece.missing,
    )
