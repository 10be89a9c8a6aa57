"""Whether a subscriber that came late has counted what was sold before it existed, and all of it once."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from services.analytics import ledger

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from services.analytics.ledger import Total

POLL: Final = 0.1
"""Seconds between two looks at its database."""


@dataclass(frozen=True, slots=True)
class Sum:
    """Of one currency."""

    orders: int
    revenue: Decimal


@dataclass(frozen=True, slots=True)
class Comparison:
    """Of the orders of this demonstration: what two services that know nothing of each other say."""

    expected: Mapping[str, Sum]
    """By currency, what the order service has."""
    totals: Sequence[Total]
    """By day and currency, what the analytics service has."""
    of_before: int
    """Orders of the history that were there before this demonstration: it has counted these too."""
    seconds: float
    """From when the orders had ended until it had them all."""

    @property
    def found(self) -> Mapping[str, Sum]:
        """By currency, what the analytics service has."""
        orders: Counter[str] = Counter()
        revenue: dict[str, Decimal] = {}
        for each in self.totals:
            orders[each.currency] += each.orders
            revenue[each.currency] = revenue.get(each.currency, Decimal(0)) + each.revenue
        return {currency: Sum(orders[currency], revenue[currency]) for currency in revenue}

    @property
    def complaints(self) -> list[str]:
        return [
            f"analytics has {_told(self.found.get(currency))} in {currency}, and the order service "
            f"{_told(self.expected.get(currency))}"
            for currency in sorted({*self.found, *self.expected})
            if self.found.get(currency) != self.expected.get(currency)
        ]

    def as_json(self) -> dict[str, Any]:
        return {
            "order_service": {
                currency: {"orders": each.orders, "revenue": str(each.revenue)}
                for currency, each in self.expected.items()
            },
            "analytics": [
                {
                    "day": each.day,
                    "currency": each.currency,
                    "orders": each.orders,
                    "revenue": str(each.revenue),
                }
                for each in self.totals
            ],
            "orders_of_before": self.of_before,
            "equal": not self.complaints,
            "seconds": round(self.seconds, 1),
        }


async def compare(orders: Sequence[Mapping[str, Any]], database: Path, *, deadline: float) -> Comparison:
    """When both are equal, or at the deadline (a time of `time.monotonic`).

    `orders`: as `GET /orders` shows them, when they have ended.
    """
    began = time.monotonic()
    expected = _expected(orders)
    ours = {order["order_id"] for order in orders}
    while True:
        totals = await asyncio.to_thread(ledger.totals, str(database), ours)
        everything = await asyncio.to_thread(ledger.totals, str(database))
        before = sum(each.orders for each in everything) - sum(each.orders for each in totals)
        comparison = Comparison(expected, totals, before, time.monotonic() - began)
        if not comparison.complaints or time.monotonic() > deadline:
            return comparison
        await asyncio.sleep(POLL)


def _expected(orders: Sequence[Mapping[str, Any]]) -> dict[str, Sum]:
    sums: dict[str, Sum] = {}
    for order in orders:
        known = sums.get(order["currency"], Sum(0, Decimal(0)))
        earned = Decimal(order["total"]) if order["status"] == "completed" else Decimal(0)
        sums[order["currency"]] = Sum(known.orders + 1, known.revenue + earned)
    return sums


def _told(total: Sum | None) -> str:
    return "nothing" if total is None else f"{total.orders} orders and {total.revenue}"
