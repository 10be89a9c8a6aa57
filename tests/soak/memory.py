"""Whether a process grows with what it has done: what it holds, looked at after given parts of a run."""

from __future__ import annotations

import asyncio
import gc
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PARTS: Final = (0.1, 0.5, 1.0)
"""Of the run. After a tenth of it, everything has been loaded, and every fault has happened or may have."""
GROWTH: Final = 6.0
"""Megabytes from the first look to the last that still count as flat: allocators do not give all back."""

_MEGABYTE: Final = 1024 * 1024


@dataclass(frozen=True)
class Look:
    """What this process held at one time."""

    part: float
    megabytes: float
    tasks: int
    remembered: int
    """Ids in the ledger."""

    def __str__(self) -> str:
        return (
            f"memory at {self.part:4.0%}: {self.megabytes:.1f} MB, {self.tasks} tasks, "
            f"{self.remembered} ids in the ledger"
        )


class Memory:
    """The looks at one run."""

    def __init__(self) -> None:
        self.looks: list[Look] = []

    def is_due(self, part: float) -> bool:
        """Whether so much of the run is over that the next look should be taken."""
        return len(self.looks) < len(PARTS) and part >= PARTS[len(self.looks)]

    def look(self, remembered: int) -> Look:
        """The next one, from inside the event loop."""
        gc.collect()
        part = PARTS[len(self.looks)]
        look = Look(part, resident_megabytes(), len(asyncio.all_tasks()), remembered)
        self.looks.append(look)
        return look

    @property
    def growth(self) -> float:
        """Megabytes from the first look to the last; negative where it has shrunk."""
        return self.looks[-1].megabytes - self.looks[0].megabytes if self.looks else 0.0

    @property
    def is_flat(self) -> bool:
        return self.growth <= GROWTH


def resident_megabytes() -> float:
    """What this process has in memory now; from Linux, which the nodes of a soak run on."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / _MEGABYTE
