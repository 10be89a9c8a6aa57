"""What a relay remembers of a broker that takes nothing, and of entries that it refuses."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from eventbus.store import OutboxEntry

FIRST_PAUSE: Final = 0.2
LONGEST_PAUSE: Final = 5.0
"""Seconds between two tries while the broker or the store is away; doubled from the first to the longest."""
LONGEST_REFUSAL: Final = 60.0
"""Seconds between two tries of an entry that the broker refuses."""

ALONE: Final = 50
"""As many entries are tried one by one before others get their turn."""


class Pauses:
    """Growing, and lengthened by up to a half, so that many processes do not come back at one moment."""

    def __init__(self, draw: Callable[[], float]) -> None:
        self._draw = draw
        self._next = FIRST_PAUSE

    def next(self) -> float:
        pause, self._next = self._next, min(LONGEST_PAUSE, 2 * self._next)
        return pause * (1 + 0.5 * self._draw())

    def reset(self) -> None:
        self._next = FIRST_PAUSE


@dataclass(slots=True)
class _Refusal:
    pause: float
    due_at: float
    routing_key: str


class Refusals:
    """Which entries the broker did not take when they were sent alone, and when to try them again."""

    def __init__(self, draw: Callable[[], float]) -> None:
        self._draw = draw
        self._by_id: dict[int, _Refusal] = {}

    @property
    def count(self) -> int:
        return len(self._by_id)

    def divide(self, entries: Sequence[OutboxEntry]) -> tuple[list[OutboxEntry], list[OutboxEntry]]:
        """Those to send together, and those to try alone; what waits behind a refused one is in neither."""
        self._by_id = {entry.id: self._by_id[entry.id] for entry in entries if entry.id in self._by_id}
        if not self._by_id:
            return list(entries), []
        now = asyncio.get_running_loop().time()
        ready: list[OutboxEntry] = []
        due: list[OutboxEntry] = []
        held: set[str] = set()
        for entry in entries:
            refusal = self._by_id.get(entry.id)
            if refusal is None and entry.key not in held:
                ready.append(entry)
                continue
            if entry.key is not None:
                held.add(entry.key)
            if refusal is not None and refusal.due_at <= now:
                due.append(entry)
        return ready, due[:ALONE]

    def note(self, entry: OutboxEntry) -> None:
        before = self._by_id.get(entry.id)
        pause = 1.0 if before is None else min(LONGEST_REFUSAL, 2 * before.pause)
        due_at = asyncio.get_running_loop().time() + pause * (1 + 0.5 * self._draw())
        self._by_id[entry.id] = _Refusal(pause, due_at, entry.message.routing_key)

    def forget(self, entry: OutboxEntry) -> None:
        """It was taken: others of its routing key may be by now."""
        if self._by_id.pop(entry.id, None) is None:
            return
        for refusal in self._by_id.values():
            if refusal.routing_key == entry.message.routing_key:
                refusal.due_at = 0.0
