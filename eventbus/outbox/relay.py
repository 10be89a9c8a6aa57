"""The relay: sends on what an outbox keeps, in its order, until the broker has it.

The spool is drained by it too. Several may run at once, in one process or in many: an entry that two of them
send arrives twice under one event_id, and the inbox drops the copy.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from eventbus.errors import PublishRefused, SendFailed, SendFate, describe, shorten
from eventbus.logs import get_logger
from eventbus.outbox.refusals import ALONE, FIRST_PAUSE, Pauses, Refusals
from eventbus.store import Outbox, OutboxEntry, StoreUnavailable, Taken
from eventbus.transport import Transport

BATCH: Final = 500
TIMEOUT: Final = 10.0
"""Seconds that the broker gets to confirm one batch."""

IDLE: Final = 2.0
"""Seconds after which to look although nobody has told of anything new: a relay elsewhere may have died."""

_MOST_REFUSED: Final = 1000
"""With so many refused entries the broker, or this user's place in it, is what has to be mended first."""


@dataclass(frozen=True, slots=True)
class _Step:
    left: int
    """Of those that were taken: refused by the broker, or waiting behind such a one of their key."""
    has_moved: bool
    """Something was sent, or found to be refused: the next step is about others."""


class Relay:
    """Started and stopped, or only drained.

    The order of a key is kept: while one of its entries is not confirmed, later ones wait behind it. What the
    broker refuses is told in the log, stays where it is, and is tried again alone after growing pauses; other
    keys go on meanwhile. Only in a batch that is on its way can a later event overtake one that is refused.
    """

    def __init__(
        self,
        outbox: Outbox,
        transport: Transport,
        *,
        where: str,
        batch: int = BATCH,
        timeout: float = TIMEOUT,
        draw: Callable[[], float] = random.random,
    ) -> None:
        """`where`: the outbox in words, for logs. `timeout`: seconds that the broker gets for a batch."""
        self._outbox = outbox
        self._transport = transport
        self._batch = batch
        self._timeout = timeout
        self._log = get_logger("eventbus.relay").bind(store=where)
        self._refusals = Refusals(draw)
        self._pauses = Pauses(draw)
        self._turn = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._is_stopping = False
        self._is_resting = False
        self._is_waiting = False
        self.sent = 0
        """How many events the broker has taken from it."""

    async def start(self) -> None:
        if self._task is None:
            self._is_stopping = False
            self._task = asyncio.create_task(self._run(), name="eventbus relay")

    async def stop(self, *, within: float = TIMEOUT) -> None:
        """The batch in hand is sent, if that takes no longer than so many seconds; the rest stays.

        While the broker is away, nothing is in hand but the question whether it is back.
        """
        self._is_stopping = True
        task, self._task = self._task, None
        if task is None:
            return
        if self._is_resting or self._is_waiting:
            task.cancel()
        await asyncio.wait({task}, timeout=within)
        task.cancel()
        await asyncio.wait({task})

    async def drain(self) -> int:
        """Send what can be sent now, in turns with the running relay; the answer is how many are refused.

        Raises `SendFailed` when the broker takes nothing, and `StoreUnavailable`.
        """
        while True:
            step = await self._step(self._batch)
            if not step.has_moved:
                return step.left

    async def _run(self) -> None:
        while not self._is_stopping:
            try:
                # One event asks whether the broker is back: every vain try of a batch may leave copies of it.
                step = await self._step(1 if self._is_waiting else self._batch)
                self._resume()
                if not step.has_moved and not self._is_stopping:
                    await self._rest(step)
            except (SendFailed, StoreUnavailable) as error:
                await self._wait(error)
            except Exception as error:  # noqa: BLE001 -- whatever it is, what is in the outbox must get out
                self._log.exception("relay.failed")
                await self._wait(error)

    async def _step(self, limit: int) -> _Step:
        async with self._turn, self._outbox.take(limit + self._refusals.count) as taken:
            ready, due = self._refusals.divide(taken.entries)
            refused = self._refusals.count
            sent = await self._send(ready, taken) if ready and self._refusals.count < _MOST_REFUSED else 0
            sent += await self._send_alone(due, taken)
            left = len(taken.entries) - sent
            return _Step(left, has_moved=sent > 0 or self._refusals.count > refused)

    async def _send(self, entries: Sequence[OutboxEntry], taken: Taken) -> int:
        """How many the broker has; raises `SendFailed` when it takes nothing for now."""
        problem: Exception
        try:
            await self._transport.send([entry.message for entry in entries], timeout=self._timeout)
        except PublishRefused as error:
            left, problem = await self._confirmed(error, entries, taken), error
        except SendFailed as error:
            await self._confirmed(error, entries, taken)
            raise
        except Exception as error:  # noqa: BLE001 -- one of them breaks a rule; alone it will say so again
            left, problem = list(entries), error
        else:
            await self._mark(entries, taken)
            return len(entries)
        sent = len(entries) - len(left)
        sent_alone = await self._send_alone(left[:ALONE], taken)
        if not sent_alone and len(left) > ALONE:
            raise problem
        return sent + sent_alone

    async def _confirmed(
        self, error: SendFailed, entries: Sequence[OutboxEntry], taken: Taken
    ) -> list[OutboxEntry]:
        """Mark those that the broker has; the others."""
        has = [fate is SendFate.CONFIRMED for fate in error.fates] or [False] * len(entries)
        await self._mark([entry for entry, confirmed in zip(entries, has, strict=True) if confirmed], taken)
        return [entry for entry, confirmed in zip(entries, has, strict=True) if not confirmed]

    async def _mark(self, entries: Sequence[OutboxEntry], taken: Taken) -> None:
        await taken.sent(entries)
        self.sent += len(entries)

    async def _send_alone(self, entries: Sequence[OutboxEntry], taken: Taken) -> int:
        """One after the other, so that one which is refused takes no other with it."""
        sent = 0
        refused: list[tuple[OutboxEntry, Exception]] = []
        held: set[str] = set()
        for entry in entries:
            if entry.key in held:
                continue
            try:
                await self._transport.send([entry.message], timeout=self._timeout)
            except SendFailed as error:
                if not isinstance(error, PublishRefused):
                    self._report(refused)
                    raise
                refused.append((entry, error))
            except Exception as error:  # noqa: BLE001 -- it stays, and is reported; the next goes on
                refused.append((entry, error))
            else:
                await self._mark([entry], taken)
                self._refusals.forget(entry)
                sent += 1
                continue
            self._refusals.note(entry)
            if entry.key is not None:
                held.add(entry.key)
        self._report(refused)
        return sent

    def _report(self, refused: Sequence[tuple[OutboxEntry, Exception]]) -> None:
        if not refused:
            return
        first, error = refused[0]
        self._log.error(
            "relay.refused",
            events=len(refused),
            event_id=shorten(first.message.event_id or ""),
            event_type=shorten(first.message.routing_key),
            problem=describe(error),
            advice="they stay where they are and are tried again; later events of their keys wait",
        )

    async def _wait(self, error: Exception) -> None:
        if not self._is_waiting:
            self._is_waiting = True
            self._log.warning("relay.waiting", problem=describe(error))
        if not self._is_stopping:
            with self._resting():
                await asyncio.sleep(self._pauses.next())

    def _resume(self) -> None:
        self._pauses.reset()
        if self._is_waiting:
            self._is_waiting = False
            self._log.warning("relay.resumed")

    async def _rest(self, step: _Step) -> None:
        """Until there may be something to send."""
        with self._resting():
            if step.left:  # the outbox tells of these again and again
                await asyncio.sleep(FIRST_PAUSE)
            try:
                await self._outbox.changed(within=IDLE)
            except StoreUnavailable:
                await asyncio.sleep(FIRST_PAUSE)  # the next step tells of it

    @contextmanager
    def _resting(self) -> Generator[None]:
        """Nothing is in hand: whoever stops the relay need not wait."""
        self._is_resting = True
        try:
            yield
        finally:
            self._is_resting = False
