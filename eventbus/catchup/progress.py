"""How far a subscription has caught up: the text of its page in the logbook."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal, Self

from pydantic import TypeAdapter

from eventbus.history import Place

KIND: Final = "catch-up"
"""Of its page, whose name is the subscription's."""

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


_TEXT: Final = TypeAdapter(Progress)
