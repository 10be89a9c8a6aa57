"""Running projections: batch by batch in the order of all streams, table and position in one transaction."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final, TypeAlias

from eventbus.errors import ConfigurationError, EventBusError, describe, shorten
from eventbus.event import Event
from eventbus.event_store import Following, StoredEvent
from eventbus.logs import get_logger
from eventbus.ordinary import is_being_cancelled
from eventbus.sourcing.event_store import EventStore
from eventbus.sourcing.projection import Projection
from eventbus.sourcing.recorded import Recorded
from eventbus.store import StoreUnavailable, Transaction

_BATCH: Final = 200
"""Events in one transaction."""
_IDLE: Final = 2.0
"""Seconds after which to look although nobody has told of anything new."""
_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 5.0

_Work: TypeAlias = tuple[Callable[..., Awaitable[None]], Recorded[Event]]


class _Overtaken(Exception):
    """Another process runs the same projection, or rebuilds it."""


class _MethodCancelled(EventBusError):
    """A method raised CancelledError although nobody cancelled it."""

    def __init__(self, projection: str, recorded: Recorded[Event]) -> None:
        super().__init__(
            f"the method of {projection} at event {recorded.version} of stream {shorten(recorded.stream)!r}: "
            "something that it awaited was cancelled"
        )


class Projecting:
    """One projection, run in this process; other processes may run it too, and each batch is one's."""

    def __init__(self, events: EventStore, projection: Projection, *, timeout: float = 30.0) -> None:
        """`timeout`: seconds that a method gets for one event.

        Raises `ConfigurationError` for a projection without a name.
        """
        if not (name := projection.__projection__):
            kind = type(projection).__qualname__
            raise ConfigurationError(f'{kind}: declare `class {kind}(Projection, name="…")`.')
        self.name = name
        self.problem: str | None = None
        """Why it does not go on at the moment."""
        self.position = 0
        """Up to where it has come, as far as this process knows."""
        self._is_known = False
        self._events = events
        self._projection = projection
        self._timeout = timeout
        self._methods = projection.__projects__
        self._classes = {event.__event_type__: event for event in self._methods}
        self._turn = asyncio.Lock()
        self._log = get_logger("eventbus.sourcing").bind(projection=name)
        events.learn(self._methods)

    async def catch_up(self) -> int:
        """Apply all that has been committed when this is called; the answer is the position.

        Raises what a method raises, `UnreadableEvent`, or `StoreUnavailable`: everything before that event
        is applied, and it is not.
        """
        alone = 0
        async with self._turn:
            while True:
                try:
                    if not await self._step(1 if alone else _BATCH):
                        return self.position
                    alone = max(0, alone - 1)
                except StoreUnavailable:
                    raise
                except Exception:
                    if alone:
                        raise
                    alone = _BATCH  # those of the batch before the one that fails need not wait for it

    async def rebuild(self) -> int:
        """Empty the table, and apply everything from the beginning; the answer is the position.

        Whoever looks at the table meanwhile sees it grow. Raises as `catch_up` does.
        """
        async with self._turn:
            while not await self._begin_anew():
                pass  # another process was at it; nothing of ours was written
        return await self.catch_up()

    async def run(self) -> None:
        """Follow for ever: through outages of the store, and again and again at an event that fails."""
        failures = 0
        while True:
            try:
                streams = await self._events.streams()
                async with streams.follow() as following:
                    while True:
                        await self._follow(following)
                        failures = 0
            except Exception as error:  # noqa: BLE001 -- whatever it is, what comes later must get in too
                self._tell(error)
            except asyncio.CancelledError as error:  # of something that was awaited here
                if is_being_cancelled():
                    raise
                self._tell(error)
            await asyncio.sleep(_pause(failures))
            failures += 1

    def ended(self, task: asyncio.Task[None]) -> None:
        """Tell that what was to run for ever does not: nobody awaits it before its block ends."""
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        self.problem = f"it has ended: {describe(error)}" if error else "it has ended"
        self._log.error(
            "projection.ended", position=self.position, problem=self.problem, exc_info=error, next=_ENDED
        )

    async def _follow(self, following: Following) -> None:
        following.look()
        await self.catch_up()
        if self.problem is not None:
            self.problem = None
            self._log.warning("projection.resumed", position=self.position)
        await following.changed(within=_IDLE)

    def _tell(self, error: BaseException) -> None:
        problem = describe(error)
        if problem == self.problem:
            return
        self.problem = problem
        if isinstance(error, StoreUnavailable):
            self._log.warning("projection.waiting", problem=problem)
        else:
            self._log.error(
                "projection.failed", position=self.position, problem=problem, exc_info=error, next=_NEXT
            )

    async def _step(self, limit: int) -> bool:
        """Whether there was anything."""
        streams = await self._events.streams()
        if not self._is_known:
            self.position = await streams.position(self.name)
            self._is_known = True
        batch = await streams.read_all(after=self.position, limit=limit)
        if not batch:
            return False
        to = batch[-1].position or 0
        work = self._work(batch)
        try:
            async with (await self._events.store()).transaction() as transaction:
                if not await streams.join(transaction).advance(self.name, expected=self.position, to=to):
                    raise _Overtaken  # noqa: TRY301  it rolls back
                for method, recorded in work:
                    await self._apply(method, recorded, transaction)
        except _Overtaken:
            self._is_known = False
            return True
        except BaseException:
            self._is_known = False  # the commit may have been answered by nobody
            raise
        self.position = to
        return True

    async def _apply(
        self, method: Callable[..., Awaitable[None]], recorded: Recorded[Event], transaction: Transaction
    ) -> None:
        try:
            async with asyncio.timeout(self._timeout):
                await method(self._projection, recorded, transaction)
        except asyncio.CancelledError as error:
            if is_being_cancelled():
                raise
            raise _MethodCancelled(self.name, recorded) from error

    def _work(self, batch: Sequence[StoredEvent]) -> list[_Work]:
        """Raises `UnreadableEvent`."""
        read = self._events.reading.read
        return [
            (self._methods[event], read(stored, event))
            for stored in batch
            if (event := self._classes.get(stored.event_type)) is not None
        ]

    async def _begin_anew(self) -> bool:
        streams = await self._events.streams()
        position = await streams.position(self.name)
        try:
            async with (await self._events.store()).transaction() as transaction:
                if not await streams.join(transaction).advance(self.name, expected=position, to=0):
                    raise _Overtaken  # noqa: TRY301  it rolls back
                await self._projection.reset(transaction)
        except _Overtaken:
            return False
        finally:
            self._is_known = False
        return True


_NEXT: Final = "it is tried again; what comes later waits for it: mend the method, or the event's class"
_ENDED: Final = "nothing is applied any more in this process: mend its cause, and start the process again"


@asynccontextmanager
async def projecting(
    events: EventStore, *projections: Projection, timeout: float = 30.0
) -> AsyncGenerator[list[Projecting]]:
    """Run projections beside the block, each on its own; at its end they are cancelled."""
    running = [Projecting(events, projection, timeout=timeout) for projection in projections]
    tasks = [asyncio.create_task(each.run(), name=f"eventbus projection {each.name}") for each in running]
    for each, task in zip(running, tasks, strict=True):
        task.add_done_callback(each.ended)
    try:
        yield running
    finally:
        for each, task in zip(running, tasks, strict=True):
            task.remove_done_callback(each.ended)
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)


async def rebuild(events: EventStore, projection: Projection) -> int:
    """Empty a projection's table and apply all events from the first; the answer is its position."""
    return await Projecting(events, projection).rebuild()


def _pause(failures: int) -> float:
    """Seconds; spread, so that processes do not come together."""
    doublings = min(failures, 16)  # far beyond the longest; 2**1024 would be no float any more
    longest: float = min(_FIRST_PAUSE * 2**doublings, _LONGEST_PAUSE)
    return longest * random.uniform(0.5, 1.0)
