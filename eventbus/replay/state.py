"""What a replay is to do, and how far it has come: the text of its page in the logbook."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final, Literal

from pydantic import TypeAdapter

from eventbus.history import Period, Place, Wanted

KIND: Final = "replay"
"""Of its page, whose name is the replay's id."""

State = Literal["running", "paused", "done", "cancelled", "interrupted"]


@dataclass(frozen=True, slots=True)
class ReplayRequest:
    """Which events go to which subscription.

    `types`: patterns such as `order.*`; none: all that the subscription is bound to. `since`, `until`: when
    the events happened, the first moment included, the last one not. `reprocess`: what was handled before is
    handled again, too. `rate`: events a second at most.
    """

    subscription: str
    types: tuple[str, ...] = ()
    since: datetime | None = None
    until: datetime | None = None
    reprocess: bool = False
    rate: float | None = None


@dataclass(frozen=True, slots=True)
class Replay:
    id: str
    request: ReplayRequest
    patterns: tuple[str, ...]
    """By which the subscription is bound."""
    end: int
    """The offset of the log before which it ends."""
    total: int
    """About how many entries there are to read."""
    began_at: datetime
    noted_at: datetime
    state: State = "running"
    place: Place = field(default_factory=Place)
    read: int = 0
    sent: int = 0
    unreadable: int = 0
    """So many entries of the history are no events, or not any more: they were left out."""
    bus: str = ""
    """Whose history it is, and subscription; an older version did not say it."""
    missing: int = 0
    """So many had been removed by the history's retention before they were read."""

    @property
    def is_whole(self) -> bool:
        """Whether nothing was left out."""
        return self.state == "done" and not self.unreadable and not self.missing

    @property
    def wanted(self) -> Wanted:
        request = self.request
        return Wanted(self.patterns, request.types or ("#",), Period(request.since, request.until))

    def text(self) -> str:
        return _TEXT.dump_json(self).decode()

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        found: dict[str, Any] = _TEXT.dump_python(self, mode="json")
        return {name: value for name, value in found.items() if name not in ("place", "end", "patterns")}


def replay_of(text: str, *, is_in_hand: bool) -> Replay:
    """One that says it runs, while nobody has it in hand, was interrupted."""
    found = _TEXT.validate_json(text)
    return found if is_in_hand or found.state != "running" else replace(found, state="interrupted")


_TEXT: Final = TypeAdapter(Replay)
