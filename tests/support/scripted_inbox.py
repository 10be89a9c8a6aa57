"""An inbox whose every answer the test says."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from eventbus.store import Claim, InboxAnswer, InboxKey, StoreUnavailable
from eventbus.stores.memory import MemoryInbox
from eventbus.testing import VirtualClock


class ScriptedInbox(MemoryInbox):
    """A real inbox that can go away, be slow, and be another's."""

    at_once = None  # type: ignore[assignment]  # as one that is on a disk

    def __init__(self) -> None:
        super().__init__(1000, VirtualClock())
        self.exchanges: list[dict[str, Sequence[InboxKey]]] = []
        self.is_away = False
        self.held: set[InboxKey] = set()
        self.lost: set[InboxKey] = set()
        self.answering = asyncio.Event()
        self.answering.set()
        self.purged: list[int] = []

    async def exchange(self, **asked: Any) -> InboxAnswer:
        self.exchanges.append({name: keys for name, keys in asked.items() if keys})
        await self.answering.wait()
        if self.is_away:
            raise StoreUnavailable("sqlite:///gone.db", "the disk is gone")
        answer = await super().exchange(**asked)
        claims = [
            Claim.HELD if key in self.held else claim
            for key, claim in zip(asked["claim"], answer.claims, strict=True)
        ]
        return InboxAnswer(claims, frozenset(self.lost & set(asked["complete"])))

    async def purge(self, *, older: timedelta, limit: int) -> int:
        return self.purged.pop() if self.purged else 0
