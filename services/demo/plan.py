"""Which orders the demonstration places, and how each of them has to end."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, Literal

Mode = Literal["sync", "deferred", "events"]
Ending = Literal["completed", "declined", "out_of_stock"]

MODES: Final[tuple[Mode, ...]] = ("sync", "deferred", "events")
ENDINGS: Final[tuple[Ending, ...]] = ("completed", "declined", "out_of_stock")

PATTERN: Final[tuple[Ending, ...]] = (
    "completed",
    "completed",
    "completed",
    "declined",
    "completed",
    "completed",
    "out_of_stock",
    "completed",
    "completed",
    "completed",
)
"""How every ten orders end."""
COMPARED: Final = 2
"""Orders that are placed in each of the slower modes, to compare the answer times."""


@dataclass(frozen=True, slots=True)
class Planned:
    """One order to place; every kind of ending has its own way to bring it about."""

    number: int
    mode: Mode
    ending: Ending

    @property
    def body(self) -> dict[str, Any]:
        """The body of `POST /orders`."""
        match self.ending:
            case "completed":
                return {"user_id": self.number, "total": str(Decimal(1999 + self.number * 100) / 100)}
            case "declined":  # the gateway declines amounts that end in .13
                return {"user_id": self.number, "total": f"{20 + self.number}.13"}
            case "out_of_stock":  # the warehouse never had a unicorn
                lines = [{"sku": "notebook", "quantity": 2}, {"sku": "unicorn", "quantity": 1}]
                return {"user_id": self.number, "total": f"{50 + self.number}.00", "lines": lines}


def plan(count: int) -> list[Planned]:
    """`count` orders; those in the slower modes end well, because then they wait for every step."""
    slower: list[Mode] = ["sync", "deferred"] * COMPARED if count >= len(PATTERN) else []
    orders: list[Planned] = []
    for number in range(1, count + 1):
        ending = PATTERN[(number - 1) % len(PATTERN)]
        mode: Mode = slower.pop() if slower and ending == "completed" else "events"
        orders.append(Planned(number, mode, ending))
    return orders
