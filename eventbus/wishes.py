"""What one question to the inbox carries: for whom, and who waits for which part of the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypedDict

from eventbus.store import Claim, InboxKey


class Keys(TypedDict):
    """As `Inbox.exchange` takes them."""

    claim: Sequence[InboxKey]
    complete: Sequence[InboxKey]
    release: Sequence[InboxKey]


@dataclass(eq=False, slots=True)
class Asked:
    """To claim some keys; answered together."""

    keys: Sequence[InboxKey]
    answer: asyncio.Future[Sequence[Claim]]
    stop: asyncio.Event
    """Whoever asked does not want it any more when this is set."""


@dataclass(eq=False, slots=True)
class Done:
    """To complete some keys."""

    keys: Sequence[InboxKey]
    answer: asyncio.Future[None]


@dataclass(eq=False, slots=True)
class Wishes:
    """What one exchange asks for."""

    claim: list[Asked] = field(default_factory=list[Asked])
    complete: list[Done] = field(default_factory=list[Done])
    release: set[InboxKey] = field(default_factory=set[InboxKey])

    def __bool__(self) -> bool:
        return bool(self.claim or self.complete or self.release)

    def fail(self, error: Exception) -> None:
        answers: list[asyncio.Future[Any]] = [each.answer for each in self.claim]
        answers += [each.answer for each in self.complete]
        for answer in answers:
            if not answer.done():
                answer.set_exception(error)

    def keys(self) -> Keys:
        return {
            "claim": [key for asked in self.claim for key in asked.keys],
            "complete": [key for done in self.complete for key in done.keys],
            "release": list(self.release),
        }
