"""The books of one run: what was published, confirmed, handled and given up, by event id."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field


@dataclass
class Ledger:
    published: Counter[str] = field(default_factory=Counter[str])
    """How often each was tried to publish."""
    confirmed: set[str] = field(default_factory=set[str])
    handled: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter[str]))
    """By subscription: how often each had its effect."""
    dead: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter[str]))
    """By subscription: how often each lies in its dead letters."""

    def lost(self, subscription: str) -> set[str]:
        """Confirmed, and neither handled nor kept. The promise is that there is never one."""
        return self.confirmed - set(self.handled[subscription]) - set(self.dead[subscription])

    def duplicates(self, subscription: str) -> int:
        """Effects beyond the first of each event: allowed where nothing drops copies, and counted."""
        return self.handled[subscription].total() - len(self.handled[subscription])

    def __str__(self) -> str:
        """As a table: one line for what went in, one for each subscription."""
        tries, confirmed = self.published.total(), len(self.confirmed)
        lines = [f"published {len(self.published)} ({tries} tries), confirmed {confirmed}"]
        lines += [self._line(name) for name in sorted(self.handled.keys() | self.dead.keys())]
        return "\n".join(lines)

    def _line(self, name: str) -> str:
        return (
            f"{name}: handled {len(self.handled[name])}, duplicates {self.duplicates(name)}, "
            f"dead {len(self.dead[name])}, lost {len(self.lost(name))}"
        )
