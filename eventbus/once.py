"""Lets each event through to one subscription's handler once, however often it is delivered."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple, Protocol

from eventbus.claims import Claims
from eventbus.envelope import Envelope
from eventbus.headers import rerun_of
from eventbus.outcome import ACK, Outcome
from eventbus.store import Claim, InboxKey
from eventbus.transport import Delivery
from eventbus.value import made
from eventbus.waiting import stopped

PAUSE: Final = 1.0
"""Seconds until a store is tried again that has gone away, where no inbox tells that it is back."""


class Readable(NamedTuple):
    """A delivery that a handler can take."""

    delivery: Delivery
    envelope: Envelope[Any]
    key: InboxKey | None = None
    """Under which the inbox knows it; None where nothing is deduplicated."""


class Ended(NamedTuple):
    """How a delivery ends."""

    delivery: Delivery
    outcome: Outcome
    key: InboxKey | None = None
    """What this process holds in the inbox for it."""


class Admitted(NamedTuple):
    """What became of deliveries at the door. What is in none of these, or still held when `admit_held` has
    returned, goes back to the queue."""

    ready: Sequence[Readable]
    """To be handled."""
    ended: Sequence[Ended]
    """They need no handler."""
    held: Sequence[Readable] = ()
    """Somebody else is handling them, who may fail: `admit_held` is next."""


class Admission(Protocol):
    """Stands between decoding and the handler, and hears what became of what it has let through."""

    def key(self, delivery: Delivery, envelope: Envelope[Any], /) -> InboxKey | None: ...

    async def admit(self, readable: Sequence[Readable], /) -> Admitted: ...

    async def admit_held(self, readable: Readable, /) -> Admitted:
        """Waits until whoever holds it has ended."""
        ...

    async def admit_again(self, readable: Sequence[Readable], /) -> Admitted:
        """After a store that went away in the middle: nobody knows what was committed.

        Waits until it is back, where the inbox is in it. Then some may be another's: `admit_held` waits.
        """
        ...

    async def remember(self, handled: Sequence[InboxKey], /) -> None:
        """They may be acked when it returns; raises `StoreUnavailable` when stopped before."""
        ...

    def release(self, unhandled: Sequence[InboxKey], /) -> None: ...

    def stop(self) -> None:
        """Nothing more is admitted; what waits goes back to its queue."""
        ...


class Everything:
    """Where nothing is deduplicated."""

    def __init__(self) -> None:
        self._stop = asyncio.Event()

    def key(self, _: Delivery, __: Envelope[Any]) -> None:
        return None

    async def admit(self, readable: Sequence[Readable]) -> Admitted:
        return Admitted(readable, ())

    async def admit_held(self, readable: Readable) -> Admitted:
        return Admitted([readable], ())

    async def admit_again(self, readable: Sequence[Readable]) -> Admitted:
        return Admitted(() if await stopped(self._stop, within=PAUSE) else readable, ())

    async def remember(self, _: Sequence[InboxKey]) -> None:
        return

    def release(self, _: Sequence[InboxKey]) -> None:
        return

    def stop(self) -> None:
        self._stop.set()


class Once:
    """What the inbox has not seen."""

    def __init__(self, claims: Claims, subscription: str) -> None:
        self._claims = claims
        self._subscription = subscription
        self._stop = asyncio.Event()

    def key(self, delivery: Delivery, envelope: Envelope[Any]) -> InboxKey:
        headers = delivery.message.headers
        rerun = rerun_of(headers) if headers else ""
        return made(InboxKey, (self._subscription, envelope.__dict__["event_id"], rerun))

    async def admit(self, readable: Sequence[Readable]) -> Admitted:
        return _sorted(readable, await self._claims.claim(keys_of(readable), self._stop))

    async def admit_held(self, readable: Readable) -> Admitted:
        (key,) = keys_of([readable])
        return _sorted([readable], [await self._claims.claim_held(key, self._stop)])

    async def admit_again(self, readable: Sequence[Readable]) -> Admitted:
        return _sorted(readable, await self._claims.claim_again(keys_of(readable), self._stop))

    async def remember(self, handled: Sequence[InboxKey]) -> None:
        await self._claims.complete(handled)

    def release(self, unhandled: Sequence[InboxKey]) -> None:
        self._claims.release(unhandled)

    def stop(self) -> None:
        self._stop.set()
        self._claims.heed_stops()


def keys_of(claimed: Iterable[Readable | Ended]) -> list[InboxKey]:
    return [key for _, _, key in claimed if key is not None]


def _sorted(readable: Sequence[Readable], claims: Sequence[Claim]) -> Admitted:
    if claims.count(Claim.OURS) == len(claims):
        return Admitted(readable, ())
    ready, ended, held = list[Readable](), list[Ended](), list[Readable]()
    for each, claim in zip(readable, claims, strict=True):
        match claim:
            case Claim.OURS:
                ready.append(each)
            case Claim.HANDLED:
                ended.append(Ended(each.delivery, ACK))
            case Claim.HELD:
                held.append(each)
    return Admitted(ready, ended, held)
