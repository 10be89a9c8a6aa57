"""What belongs together: dead letters of one event type, one reason, and one error but for its values."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from eventbus.dead_letters.masking import NOTHING_SECRET, masked
from eventbus.errors import shorten
from eventbus.secret import Secrets
from eventbus.transport import DeadLetterEntry

_LONGEST: Final = 500
_LONGEST_TYPE: Final = 200

_VALUES: Final = re.compile(
    r"""
      (?<!\w)'[^']*'(?!\w) | "[^"]*" | `[^`]*`                              # what an error quotes
    | \b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b      # a UUID
    | \b[a-z]{2,8}_[0-9a-z]*[0-9][0-9a-z]*\b                                # evt_0190…, ord_17
    | \b0x[0-9a-f]+\b | \b(?=[a-f]*[0-9])[0-9a-f]{8,}\b                     # an address, a hash
    | [+-]?\d[\d.,:]*(?:[eE][+-]?\d+)?                                      # a number, a time
    """,
    re.VERBOSE | re.IGNORECASE,
)
_PLACE: Final = "…"


def normalised(error: str) -> str:
    """The error with its values left out: `CardDeclined: card … of order …`."""
    return " ".join(_VALUES.sub(_PLACE, shorten(error, _LONGEST)).split())


def fingerprint(entry: DeadLetterEntry) -> str:
    """Eight hex digits, the same for all dead letters of a group, in every process and version."""
    told = "\0".join((entry.message.routing_key, entry.reason, normalised(entry.error)))
    return hashlib.blake2b(told.encode(errors="replace"), digest_size=4).hexdigest()


@dataclass(frozen=True, slots=True)
class Group:
    """Dead letters of one event type, reason and kind of error, counted."""

    fingerprint: str
    event_type: str
    reason: str
    error: str
    """With its values left out."""
    count: int
    first_seen: datetime | None
    """When the first of them was given up; None where no time of any is known."""
    last_seen: datetime | None


class Groups:
    """Counts dead letters, one after the other; remembers none of them."""

    def __init__(self, secrets: Secrets = NOTHING_SECRET) -> None:
        self._secrets = secrets
        self._groups: dict[str, _Tally] = {}

    def add(self, entry: DeadLetterEntry) -> None:
        key = fingerprint(entry)
        if (tally := self._groups.get(key)) is None:
            event_type = shorten(entry.message.routing_key, _LONGEST_TYPE)
            tally = self._groups[key] = _Tally(
                event_type, entry.reason, normalised(masked(entry, self._secrets).error)
            )
        tally.add(entry.died_at)

    def __len__(self) -> int:
        return len(self._groups)

    def largest_first(self) -> Sequence[Group]:
        groups = [
            Group(key, each.event_type, each.reason, each.error, each.count, each.first, each.last)
            for key, each in self._groups.items()
        ]
        return sorted(groups, key=lambda group: (-group.count, group.event_type, group.error))


@dataclass(slots=True)
class _Tally:
    event_type: str
    reason: str
    error: str
    count: int = 0
    first: datetime | None = None
    last: datetime | None = None

    def add(self, died_at: datetime | None) -> None:
        self.count += 1
        if died_at is not None:
            self.first = died_at if self.first is None else min(self.first, died_at)
            self.last = died_at if self.last is None else max(self.last, died_at)
