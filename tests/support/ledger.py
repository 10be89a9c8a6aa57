"""The books of one run: what was published, confirmed, handled and given up, by event id."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from tests.support.numbered import NumberedIds


@dataclass
class Ledger:
    """Every id is remembered, and the memory grows with them, unless `forget_settled` is called at times."""

    published: Counter[str] = field(default_factory=Counter[str])
    """How often each was tried to publish."""
    confirmed: set[str] = field(default_factory=set[str])
    handled: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter[str]))
    """By subscription: how often each had its effect."""
    dead: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter[str]))
    """By subscription: how often each lies in its dead letters."""
    _forgotten: NumberedIds = field(default_factory=NumberedIds)
    _forgotten_tries: int = 0
    _forgotten_effects: Counter[str] = field(default_factory=Counter[str])
    """By subscription: effects beyond one of each of them."""

    def lost(self, subscription: str) -> set[str]:
        """Confirmed, and neither handled nor kept. The promise is that there is never one."""
        return self.confirmed - set(self.handled[subscription]) - set(self.dead[subscription])

    def duplicates(self, subscription: str) -> int:
        """Effects beyond the first of each event: allowed where nothing drops copies, and counted."""
        handled = self.handled[subscription]
        firsts = sum(event_id not in self._forgotten for event_id in handled)
        return self._forgotten_effects[subscription] + handled.total() - firsts

    @property
    def count_of_confirmed(self) -> int:
        return len(self.confirmed) + len(self._forgotten)

    @property
    def count_remembered(self) -> int:
        """How many ids take up memory of their own."""
        return len(self.published)

    def forget_settled(self, *subscriptions: str) -> None:
        """Only counts from now on what is confirmed, and was handled by all these subscriptions.

        Its ids must be as `numbered_id` makes them: by its number, a copy that is handled later is known to
        be a duplicate.
        """
        for subscription in subscriptions:
            self._count_late_copies(subscription)
        for event_id in [each for each in self.confirmed if self._is_settled(each, subscriptions)]:
            self._forgotten.add(event_id)
            self.confirmed.remove(event_id)
            self._forgotten_tries += self.published.pop(event_id)
            for subscription in subscriptions:
                self._forgotten_effects[subscription] += self.handled[subscription].pop(event_id) - 1

    def _is_settled(self, event_id: str, subscriptions: tuple[str, ...]) -> bool:
        return all(event_id in self.handled[subscription] for subscription in subscriptions)

    def _count_late_copies(self, subscription: str) -> None:
        handled = self.handled[subscription]
        for event_id in [each for each in handled if each in self._forgotten]:
            self._forgotten_effects[subscription] += handled.pop(event_id)

    def __str__(self) -> str:
        """As a table: one line for what went in, one for each subscription."""
        events = len(self.published) + len(self._forgotten)
        tries = self.published.total() + self._forgotten_tries
        lines = [f"published {events} ({tries} tries), confirmed {self.count_of_confirmed}"]
        lines += [self._line(name) for name in sorted(self.handled.keys() | self.dead.keys())]
        return "\n".join(lines)

    def _line(self, name: str) -> str:
        late = sum(event_id in self._forgotten for event_id in self.handled[name])
        forgotten = len(self._forgotten) if name in self._forgotten_effects else 0
        return (
            f"{name}: handled {len(self.handled[name]) - late + forgotten}, "
            f"duplicates {self.duplicates(name)}, dead {len(self.dead[name])}, lost {len(self.lost(name))}"
        )
