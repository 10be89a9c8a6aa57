"""The inbox as one process uses it: what is asked at the same time goes to the store together.

Claims and completions of all subscriptions share a round trip, so that handling an event once costs no
transaction of its own. While the store is away everything waits, and nothing is handled.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import timedelta
from itertools import repeat
from typing import Final, cast

from eventbus.errors import describe
from eventbus.logs import get_logger
from eventbus.store import Claim, Inbox, InboxAnswer, InboxKey, StoreUnavailable
from eventbus.waiting import stopped
from eventbus.wishes import Asked, Done, Wishes

FIRST_PAUSE: Final = 0.05
LONGEST_PAUSE: Final = 1.0
"""Seconds between two questions: to a store that is away, and for what another process is handling."""
AT_A_TIME: Final = 2
"""Questions: while one waits for the disk, the next is read and written. More would only be smaller."""
LAST_ANSWER: Final = 3.0
"""Seconds, at the end: what was asked and not answered by then is handed over and asked again."""
PURGE_EVERY: Final = 600.0
PURGE_AT_ONCE: Final = 1000
"""Keys: so few that nobody waits for it."""


class Claims:
    """Belongs to one event loop, from `start` to `stop`."""

    def __init__(self, inbox: Inbox, *, keep: timedelta) -> None:
        """`keep`: for how long what was handled is remembered."""
        self._inbox = inbox
        self._at_once = inbox.at_once
        self._keep = keep
        self._wishes = Wishes()
        self._asking: list[Wishes] = []
        """What the store is being asked now."""
        self._ours: dict[InboxKey, asyncio.Future[None] | None] = {}
        """What is being handled here; done, where somebody waits for it, when it is not any more."""
        self._exchanging: set[asyncio.Task[None]] = set()
        self._begins_soon = False
        self._purging: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()
        self._is_away = False
        self._log = get_logger("eventbus.inbox")

    def start(self) -> None:
        self._purging = asyncio.create_task(self._purge(), name="inbox purge")

    async def stop(self) -> None:
        """What the store is doing is waited for a while; to a store that is away nothing is said any more."""
        self._stopping.set()
        if self._purging is not None:
            self._purging.cancel()
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_ANSWER):
                while self._exchanging:
                    await asyncio.wait(self._exchanging)
        for exchanging in self._exchanging:
            exchanging.cancel()
        for wishes in (self._wishes, *self._asking):
            wishes.fail(StoreUnavailable("the inbox", "it was closed before it had answered"))

    async def claim(self, keys: Sequence[InboxKey], stop: asyncio.Event) -> Sequence[Claim]:
        """One for each: `OURS`, `HANDLED`, or `HELD` by somebody who is handling it, here or elsewhere.

        `HELD` also for all when `stop` was set before that was known.
        """
        fresh = self._hold(keys)
        answers = await self._ask(fresh, stop)
        if answers.count(Claim.OURS) < len(answers):
            self.finish(key for key, claim in zip(fresh, answers, strict=True) if claim is not Claim.OURS)
        if len(fresh) == len(keys):
            return answers
        found = dict(zip(fresh, answers, strict=True))
        return [found.pop(key, Claim.HELD) for key in keys]

    async def claim_held(self, key: InboxKey, stop: asyncio.Event) -> Claim:
        """The same for one that is held; waits until it is not, and is `HELD` only when `stop` was set."""
        pause = FIRST_PAUSE
        while not stop.is_set():
            if key in self._ours:
                await _either(stop, self._end_of(key))
                continue
            (claim,) = await self.claim([key], stop)
            if claim is not Claim.HELD:
                return claim
            await stopped(stop, within=pause)
            pause = min(2 * pause, LONGEST_PAUSE)
        return Claim.HELD

    async def claim_again(self, keys: Sequence[InboxKey], stop: asyncio.Event) -> Sequence[Claim]:
        """What became of ours, where nobody knows whether their transaction was committed."""
        answers = await self._ask(keys, stop)
        self.finish(key for key, claim in zip(keys, answers, strict=True) if claim is not Claim.OURS)
        return answers

    async def complete(self, keys: Sequence[InboxKey]) -> None:
        """They are remembered when it returns; those finished before need nothing.

        Raises `StoreUnavailable` when `stop` came before the store.
        """
        if not all(map(self._ours.__contains__, keys)):
            keys = [key for key in keys if key in self._ours]
        if self._at_once is not None:
            self._at_once.complete(keys)
            self.finish(keys)
        elif keys:
            done = Done(keys, asyncio.get_running_loop().create_future())
            self._wishes.complete.append(done)
            self._exchange_soon()
            await done.answer

    def release(self, keys: Iterable[InboxKey]) -> None:
        """They were not handled after all: whoever gets them next may claim them."""
        keys = [key for key in keys if key in self._ours]
        self._wishes.release.update(keys)
        self._exchange_soon()
        self.finish(keys)

    def finish(self, keys: Iterable[InboxKey]) -> None:
        """They are not being handled here any more; the store knows already what became of them."""
        for running in map(self._ours.pop, keys, repeat(None)):
            if running is not None and not running.done():
                running.set_result(None)

    def heed_stops(self) -> None:
        """To be called when a `stop` was set: who waits for the store lets go."""
        for asked in [asked for wishes in (self._wishes, *self._asking) for asked in wishes.claim]:
            if asked.stop.is_set() and not asked.answer.done():
                asked.answer.set_result([Claim.HELD] * len(asked.keys))

    def _hold(self, keys: Sequence[InboxKey]) -> list[InboxKey]:
        """Those that nobody here is handling: that is done here from now on."""
        ours, fresh = self._ours, list[InboxKey]()
        if ours.keys().isdisjoint(keys) and len(found := dict.fromkeys(keys)) == len(keys):
            ours.update(found)  # as nearly always
            return list(keys)
        for key in keys:
            if key not in ours:
                ours[key] = None
                fresh.append(key)
        return fresh

    def _end_of(self, key: InboxKey) -> asyncio.Future[None]:
        running = self._ours[key] = self._ours[key] or asyncio.get_running_loop().create_future()
        return running

    async def _ask(self, keys: Sequence[InboxKey], stop: asyncio.Event) -> Sequence[Claim]:
        if self._at_once is not None:
            return self._at_once.claim(keys)
        if not keys:
            return []
        asked = Asked(keys, asyncio.get_running_loop().create_future(), stop)
        self._wishes.claim.append(asked)
        self._exchange_soon()
        try:
            return await asked.answer
        except BaseException:
            self.release(keys)  # the store may have them by now, and nobody is going to handle them
            raise

    def _exchange_soon(self) -> None:
        """Not at once: what else is asked in this turn of the loop comes along."""
        if self._wishes and not self._begins_soon and len(self._exchanging) < AT_A_TIME:
            self._begins_soon = True
            exchanging = asyncio.create_task(self._exchange(), name="inbox")
            self._exchanging.add(exchanging)
            exchanging.add_done_callback(self._exchanging.discard)

    async def _exchange(self) -> None:
        self._begins_soon = False
        try:
            while self._wishes and self._may_begin():
                wishes, self._wishes = self._wishes, Wishes()
                self._asking.append(wishes)
                try:
                    await self._fulfil(wishes)
                finally:
                    self._asking.remove(wishes)
        finally:
            # In the step in which it saw that nothing is left, and not when its task has ended: who wishes
            # something in between must not take it for one that will see to that.
            self._exchanging.discard(cast("asyncio.Task[None]", asyncio.current_task()))

    def _may_begin(self) -> bool:
        """What was released may be claimed again: the two must not overtake each other."""
        return not self._asking or not any(each.release for each in (self._wishes, *self._asking))

    async def _fulfil(self, wishes: Wishes) -> None:
        try:
            answer = await self._persistently(wishes)
        except Exception as error:  # noqa: BLE001 -- whoever waits must hear of it
            wishes.fail(error)
            return
        at = 0
        for asked in wishes.claim:
            claims = answer.claims[at : at + len(asked.keys)]
            at += len(asked.keys)
            if not asked.answer.done():
                asked.answer.set_result(claims)
            else:
                self._give_back(asked.keys, claims)
        for done in wishes.complete:
            self.finish(done.keys)
            if not done.answer.done():
                done.answer.set_result(None)
        self._tell_lost(answer)

    def _give_back(self, keys: Sequence[InboxKey], claims: Sequence[Claim]) -> None:
        """Whoever asked for them has gone."""
        self._wishes.release.update(
            key
            for key, claim in zip(keys, claims, strict=True)
            if claim is Claim.OURS and key not in self._ours
        )

    async def _persistently(self, wishes: Wishes) -> InboxAnswer:
        """Ask until the store answers; raises `StoreUnavailable` only when stopped before."""
        asked = wishes.keys()
        pause = FIRST_PAUSE
        while True:
            try:
                answer = await self._inbox.exchange(**asked)
            except StoreUnavailable as error:
                if self._stopping.is_set():
                    raise
                self._tell_away(error)
                await stopped(self._stopping, within=pause * random.uniform(0.5, 1.0))
                pause = min(2 * pause, LONGEST_PAUSE)
            else:
                self._tell_away(None)
                return answer

    def _tell_away(self, error: StoreUnavailable | None) -> None:
        """Once when it goes, and once when it is back."""
        if error is not None and not self._is_away:
            self._log.error("store.unavailable", error=describe(error))
        elif error is None and self._is_away:
            self._log.warning("store.available")
        self._is_away = error is not None

    def _tell_lost(self, answer: InboxAnswer) -> None:
        for key in answer.lost:
            self._log.warning(
                "inbox.claim_lost",
                subscription=key.subscription,
                event_id=key.event_id,
                advice="this process was taken for dead while it handled the event, which may have run twice",
            )

    async def _purge(self) -> None:
        """What is older than is to be kept, a little at a time."""
        while True:
            is_more = False
            try:
                is_more = await self._inbox.purge(older=self._keep, limit=PURGE_AT_ONCE) == PURGE_AT_ONCE
            except StoreUnavailable as error:
                self._log.warning("inbox.purge_failed", error=describe(error))
            except Exception as error:  # noqa: BLE001 -- that too much is remembered stops nobody
                self._log.exception("inbox.purge_failed", error=describe(error))
            await asyncio.sleep(FIRST_PAUSE if is_more else PURGE_EVERY)


async def _either(stop: asyncio.Event, other: asyncio.Future[None]) -> None:
    """Return when `stop` is set, or the other is done."""
    stopping = asyncio.ensure_future(stop.wait())
    waiting: set[asyncio.Future[None] | asyncio.Task[bool]] = {stopping, other}
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
