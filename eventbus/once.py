"""Lets each event through to one subscription's handler once, however often it is delivered."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final, Protocol

from eventbus.claims import Claims
from eventbus.envelope import Envelope
from eventbus.headers import rerun_of
from eventbus.outcome import Ack, Outcome
from eventbus.store import Claim, InboxKey
from eventbus.transport import Delivery

PAUSE: Final = 1.0
"""Seconds until a handler without an inbox tries a store again that has gone away."""

Settled = tuple[Delivery, Outcome]
Readable = tuple[Delivery, Envelope[Any]]
Admitted = tuple[list[Readable], list[Settled]]
"""What is to be handled now, and what needs none any more. What is in neither goes back to the queue."""


class Admission(Protocol):
    """Stands between decoding and the handler."""

    async def admit(self, readable: Sequence[Readable]) -> Admitted: ...

    async def admit_again(self, readable: Sequence[Readable]) -> Admitted:
        """After a store that went away in the middle: nobody knows what was committed."""
        ...

    async def handled(self, readable: Sequence[Readable], /) -> None:
        """Remember them; they may be acked when it returns."""
        ...

    def failed(self, readable: Sequence[Readable], /) -> None: ...

    def stop(self) -> None:
        """Nothing more is admitted; what waits goes back to its queue."""
        ...


class Everything:
    """Where nothing is deduplicated."""

    async def admit(self, readable: Sequence[Readable]) -> Admitted:
        return list(readable), []

    async def admit_again(self, readable: Sequence[Readable]) -> Admitted:
        await asyncio.sleep(PAUSE)
        return list(readable), []

    async def handled(self, _: Sequence[Readable]) -> None:
        return

    def failed(self, _: Sequence[Readable]) -> None:
        return

    def stop(self) -> None:
        return


class Once:
    """What the inbox has not seen."""

    def __init__(self, claims: Claims, subscription: str) -> None:
        self._claims = claims
        self._subscription = subscription
        self._stop = asyncio.Event()

    async def admit(self, readable: Sequence[Readable]) -> Admitted:
        if len(readable) == 1:
            claim = await self._claims.claim(self.key(readable[0]), self._stop)
            return ([readable[0]], []) if claim is Claim.OURS else _sorted(readable, [claim])
        claiming = (self._claims.claim(self.key(each), self._stop) for each in readable)
        return _sorted(readable, await asyncio.gather(*claiming))

    async def admit_again(self, readable: Sequence[Readable]) -> Admitted:
        claiming = (self._claims.claim_again(self.key(each), self._stop) for each in readable)
        return _sorted(readable, await asyncio.gather(*claiming))

    async def handled(self, readable: Sequence[Readable]) -> None:
        await self._claims.complete([self.key(each) for each in readable])

    def failed(self, readable: Sequence[Readable]) -> None:
        for each in readable:
            self._claims.release(self.key(each))

    def stop(self) -> None:
        self._stop.set()
        self._claims.heed_stops()

    def key(self, readable: Readable) -> InboxKey:
        delivery, envelope = readable
        return InboxKey(self._subscription, envelope.event_id, rerun_of(delivery.message.headers))


def _sorted(readable: Sequence[Readable], claims: Sequence[Claim]) -> Admitted:
    admitted = [each for each, claim in zip(readable, claims, strict=True) if claim is Claim.OURS]
    handled: list[Settled] = [
        (delivery, Ack())
        for (delivery, _), claim in zip(readable, claims, strict=True)
        if claim is Claim.HANDLED
    ]
    return admitted, handled
