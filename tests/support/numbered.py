"""Event ids with a number in them, and a set of such ids that stays small."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field


def numbered_id(series: str, number: int) -> str:
    """`series` is one publisher's own; it counts from 1, without gaps."""
    return f"{series}.{number}"


class NumberedIds:
    """Which ids of each series are in it, as a number up to which all are, and those above it.

    Its size is that of the gaps, however many ids there are. Ids of another form are never in it.
    """

    def __init__(self) -> None:
        self._series: defaultdict[str, _Numbers] = defaultdict(_Numbers)

    def add(self, event_id: str) -> None:
        """Raises ValueError for an id that `numbered_id` has not made."""
        series, _, number = event_id.rpartition(".")
        self._series[series].add(int(number))

    def __contains__(self, event_id: str) -> bool:
        series, _, number = event_id.rpartition(".")
        return series in self._series and number.isdecimal() and int(number) in self._series[series]

    def __len__(self) -> int:
        return sum(len(numbers) for numbers in self._series.values())


@dataclass
class _Numbers:
    floor: int = 0
    above: set[int] = field(default_factory=set[int])

    def add(self, number: int) -> None:
        if number > self.floor:
            self.above.add(number)
        while self.floor + 1 in self.above:
            self.floor += 1
            self.above.remove(self.floor)

    def __contains__(self, number: int) -> bool:
        return 0 < number <= self.floor or number in self.above

    def __len__(self) -> int:
        return self.floor + len(self.above)
