"""Which of the dead letters are meant."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Final

from eventbus.dead_letters.grouping import fingerprint
from eventbus.dead_letters.identity import id_of
from eventbus.topic import check_pattern, matches
from eventbus.transport import DeadLetterEntry


@dataclass(frozen=True, slots=True)
class Selection:
    """All that is given must hold; nothing given means every one.

    `ids`: as `id_of` names them. `error`: a glob for the whole text of the error, `*timeout*`. `type`: a
    binding pattern for the event type, `order.*`. `fingerprint`: of a group. `died_before`, `died_after`:
    when it was given up; one whose time is unknown is in neither.
    """

    ids: frozenset[str] = frozenset()
    error: str | None = None
    type: str | None = None
    fingerprint: str | None = None
    died_before: datetime | None = None
    died_after: datetime | None = None

    def __post_init__(self) -> None:
        """Raises `ConfigurationError` for a pattern that can match nothing."""
        if self.type is not None:
            check_pattern(self.type)

    def __contains__(self, entry: DeadLetterEntry) -> bool:
        return (
            (not self.ids or id_of(entry.message) in self.ids)
            and (self.error is None or fnmatchcase(entry.error, self.error))
            and (self.type is None or matches(self.type, entry.message.routing_key))
            and (self.fingerprint is None or fingerprint(entry) == self.fingerprint)
            and self._is_of_age(entry.died_at)
        )

    def _is_of_age(self, died_at: datetime | None) -> bool:
        if self.died_before is None and self.died_after is None:
            return True
        return (
            died_at is not None
            and (self.died_before is None or died_at < self.died_before)
            and (self.died_after is None or died_at > self.died_after)
        )


EVERYTHING: Final = Selection()
