"""How far a subscription has caught up: the text of its page in the logbook."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal, Self

from pydantic import TypeAdapter

from eventbus.history import Place
from eventbus.logbook import Page

KIND: Final = "catch-up"
"""Of its page."""

Phase = Literal["history", "live"]


@dataclass(frozen=True, slots=True)
class Progress:
    phase: Phase
    place: Place = field(default_factory=Place)
    """Everything before it is handled."""
    bound_at: int = 0
    """The log's end when the queue was bound: what lies before is in the history alone."""
    until: int = 0
    """Where the history ends, a moment after that: what lies between is in the queue too."""
    total: int = 0
    """About how many entries there are to read."""
    read: int = 0
    began_at: datetime | None = None
    noted_at: datetime | None = None

    @classmethod
    def of(cls, text: str) -> Self | None:
        """None where nothing is written yet."""
        return _TEXT.validate_json(text) if text else None  # type: ignore[return-value]  # cls is final here

    def text(self) -> str:
        return _TEXT.dump_json(self).decode()

    def seconds_left(self) -> float | None:
        """By the pace so far; None where there is none yet."""
        if self.began_at is None or self.noted_at is None or not self.read:
            return None
        took = (self.noted_at - self.began_at).total_seconds()
        return max(0, self.total - self.read) * took / self.read


def page_name(subscription: str, bus: str) -> str:
    """One of each bus that has the subscription, for each has a history of its own."""
    return f"{subscription} {bus}"


def pages_of(pages: Sequence[Page], bus: str) -> dict[str, tuple[Page, Progress]]:
    """By the subscription, what this bus has; a page of an older version is of no bus, and speaks for all."""
    found: dict[str, tuple[Page, Progress]] = {}
    for page in sorted(pages, key=lambda page: " " in page.name):
        subscription, _, whose = page.name.partition(" ")
        if whose in ("", bus) and (progress := Progress.of(page.text)) is not None:
            found[subscription] = (page, progress)
    return found


def other_buses(pages: Sequence[Page], subscription: str, bus: str) -> list[str]:
    """That have caught it up, or are about to."""
    named = [page.name.partition(" ") for page in pages if page.text]
    return [whose for name, _, whose in named if name == subscription and whose not in ("", bus)]


_TEXT: Final = TypeAdapter(Progress)
