"""What the demonstration shows: data to stdout, everything on the way to stderr."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Any, Final, Literal

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from services.demo.plan import ENDINGS, MODES, Mode
from services.shop import ORDINARY

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

    from services.demo.customers import Placed, Snapshot
    from services.demo.late import Comparison

Output = Literal["table", "json"]

ROWS: Final = 12
"""Orders that are shown at one time."""
PAUSE: Final = 1.0
"""Seconds between two lines about the flow, where no terminal shows it."""
STATES: Final = {
    "payment": ("pending", "captured", "declined", "voided"),
    "stock": ("pending", "reserved", "shipped", "rejected", "released"),
    "mails": ("confirmation", "payment_declined", "out_of_stock"),
    "status": ("processing", "completed", "declined", "out_of_stock"),
}

STEPS: Final[Mapping[Mode, str]] = {
    "sync": "all eight steps",
    "deferred": "validate, inventory, payment, insert",
    "events": "validate, insert",
}
LATENCY: Final[Mapping[Mode, float]] = {
    "sync": 1900,
    "deferred": (ORDINARY.validate + ORDINARY.inventory + ORDINARY.payment + ORDINARY.database) * 1000,
    "events": (ORDINARY.validate + ORDINARY.database) * 1000,
}
"""Milliseconds that the steps of a mode take by themselves."""

COLOURS: Final = {
    "completed": "green",
    "captured": "green",
    "reserved": "green",
    "shipped": "green",
    "declined": "yellow",
    "voided": "yellow",
    "out_of_stock": "yellow",
    "rejected": "yellow",
    "released": "yellow",
}


@dataclass(frozen=True, slots=True)
class Report:
    """What came of it."""

    broker: str
    placed: Sequence[Placed]
    orders: Sequence[Mapping[str, Any]]
    complaints: Sequence[str]
    seconds: float
    late: Comparison | None = None
    """None: nobody came late."""

    def as_json(self) -> dict[str, Any]:
        return {
            "broker": self.broker,
            "orders": len(self.placed),
            "ended": {ending: self.ended[ending] for ending in ENDINGS},
            "answer_ms": {mode: self.answered_after(mode) for mode in MODES},
            "complaints": list(self.complaints),
            "ok": not self.complaints,
            "seconds": round(self.seconds, 1),
        } | ({} if self.late is None else {"late_subscriber": self.late.as_json()})

    @property
    def ended(self) -> Counter[str]:
        ours = {each.order_id for each in self.placed}
        return Counter(order["status"] for order in self.orders if order["order_id"] in ours)

    def answered_after(self, mode: Mode) -> float | None:
        """Milliseconds, the median."""
        times = [each.answered_after for each in self.placed if each.planned.mode == mode]
        return round(median(times), 1) if times else None


@dataclass(slots=True)
class View:
    output: Output
    _err: Console = field(default_factory=lambda: Console(stderr=True, highlight=False))
    _live: Live | None = None
    _said_at: float = 0.0

    def say(self, text: str) -> None:
        """One line about how it goes; `text` may hold rich markup."""
        self._err.print(text, soft_wrap=True)

    @contextmanager
    def live(self) -> Generator[None]:
        """While it lasts, `flow` draws over what it drew before, if a person is looking."""
        if not self._err.is_terminal:
            yield
            return
        with Live(console=self._err, refresh_per_second=10) as self._live:
            yield
        self._live = None

    def flow(self, snapshot: Snapshot) -> None:
        """The orders as they are now; without a terminal, a line every second."""
        if self._live is not None:
            self._live.update(Group(_flow(snapshot), Text(_counts(snapshot))))
        elif time.monotonic() - self._said_at > PAUSE:
            self._said_at = time.monotonic()
            self.say(_counts(snapshot))

    def report(self, report: Report) -> None:
        if self.output == "json":
            sys.stdout.write(json.dumps(report.as_json(), indent=2) + "\n")
            sys.stdout.flush()
            return
        out = Console(highlight=False)
        out.print(_answers(report), _endings(report))
        if report.late is not None:
            out.print(_late(report.late))
        for complaint in report.complaints:
            out.print(f"[red]✗[/] {escape(complaint)}")
        if not report.complaints:
            out.print(
                f"[green]✓[/] {len(report.placed)} orders ended as they should, each with one charge and its "
                f"mails, in {report.seconds:.1f} s."
            )


def _counts(snapshot: Snapshot) -> str:
    summary = snapshot["summary"]
    parts = [f"{summary['orders']} orders"]
    for group, states in STATES.items():
        counts = [f"{state} {summary[group][state]}" for state in states if state in summary[group]]
        parts.append(f"{group}: {', '.join(counts) or '-'}")
    return " | ".join(parts)


def _flow(snapshot: Snapshot) -> Table:
    table = Table(title="orders, newest first", title_justify="left")
    for column in ("order", "total", "payment", "warehouse", "mails", "status"):
        table.add_column(column, min_width=10)
    for order in snapshot["newest"][:ROWS]:
        table.add_row(
            str(order["order_id"]),
            f"{order['total']} {order['currency']}",
            _coloured(order["payment"]),
            _coloured(order["stock"]),
            ", ".join(order["mails"]),
            _coloured(order["status"]),
        )
    return table


def _coloured(state: str) -> Text:
    return Text(state, style=COLOURS.get(state, "dim"))


def _answers(report: Report) -> Table:
    table = Table(title="what the user waits for", title_justify="left")
    table.add_column("mode")
    table.add_column("steps in line")
    table.add_column("their latency", justify="right")
    table.add_column("answered after", justify="right")
    for mode in MODES:
        answered = report.answered_after(mode)
        shown = "-" if answered is None else f"{answered:.0f} ms"
        table.add_row(mode, STEPS[mode], f"{LATENCY[mode]:.0f} ms", shown)
    return table


def _endings(report: Report) -> Table:
    table = Table(title="how the orders ended", title_justify="left")
    table.add_column("as")
    table.add_column("expected", justify="right")
    table.add_column("ended", justify="right")
    expected = Counter(each.planned.ending for each in report.placed)
    for ending in ENDINGS:
        table.add_row(ending, str(expected[ending]), str(report.ended[ending]))
    return table


def _late(late: Comparison) -> Table:
    table = Table(title="what the late subscriber has counted", title_justify="left")
    for column in ("", "currency"):
        table.add_column(column)
    for column in ("orders", "revenue"):
        table.add_column(column, justify="right")
    for currency, total in late.expected.items():
        table.add_row("order service", currency, str(total.orders), str(total.revenue))
    for each in late.totals:
        table.add_row(f"analytics, {each.day}", each.currency, str(each.orders), str(each.revenue))
    if late.of_before:
        table.caption = f"and {late.of_before} orders that were in the history before"
    return table
