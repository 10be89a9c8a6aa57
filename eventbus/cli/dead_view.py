"""What `eventbus dead` shows: rows, groups, one dead letter whole, and the distribution of all."""

from __future__ import annotations

import json
import shutil
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import click

from eventbus.cli.output import UNKNOWN, inert, table
from eventbus.counted import many
from eventbus.dead_letters import NOTHING_SECRET, Group, Groups, id_of, masked
from eventbus.errors import inert as without_controls
from eventbus.secret import Secrets
from eventbus.transport import DeadLetterEntry

if TYPE_CHECKING:
    from rich.table import Table

_WIDTHS: Final = {"id": 36, "event type": 24, "reason": 16, "attempts": 8, "died": 20}
"""Fixed, so that the first row is there before the last one is read; what is longer pushes the rest."""
_LONGEST_ERROR: Final = 500
_SHORTEST_ERROR: Final = 20
_LONGEST_BODY: Final = 100_000


def header() -> str:
    return _row([*_WIDTHS, "error"])


def row(entry: DeadLetterEntry, secrets: Secrets = NOTHING_SECRET) -> str:
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    told = sum(_WIDTHS.values()) + 2 * len(_WIDTHS)
    longest = _LONGEST_ERROR if width is None else max(_SHORTEST_ERROR, width - told)
    cells = [
        id_of(entry.message),
        inert(entry.message.routing_key, 190),
        inert(entry.reason, 40),
        str(entry.attempts),
        time_of(entry.died_at),
        inert(masked(entry, secrets).error, longest),
    ]
    return _row(cells)


def time_of(moment: datetime | None) -> str:
    """`2025-02-15T10:00:00Z`, to the second."""
    if moment is None:
        return UNKNOWN
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def groups_table(groups: Sequence[Group]) -> Table:
    columns = ("count", "event type", "reason", "error", "first seen", "last seen", "fingerprint")
    rows = [
        (
            str(each.count),
            each.event_type,
            each.reason,
            each.error,
            time_of(each.first_seen),
            time_of(each.last_seen),
            each.fingerprint,
        )
        for each in groups
    ]
    return table(columns, rows, numbers=("count",))


def group_as_json(group: Group) -> dict[str, object]:
    return {
        "count": group.count,
        "event_type": group.event_type,
        "reason": group.reason,
        "error": group.error,
        "first_seen": None if group.first_seen is None else group.first_seen.isoformat(),
        "last_seen": None if group.last_seen is None else group.last_seen.isoformat(),
        "fingerprint": group.fingerprint,
    }


def whole(entry: DeadLetterEntry, secrets: Secrets = NOTHING_SECRET) -> Iterator[str]:
    """One dead letter, line by line."""
    id = id_of(entry.message)
    entry = masked(entry, secrets)
    message = entry.message
    yield f"id               {id}"
    yield f"event type       {message.routing_key}"
    yield f"reason           {entry.reason}"
    yield f"error            {entry.error}"
    yield f"attempts         {entry.attempts}"
    yield f"first failed at  {time_of(entry.first_failed_at)}"
    yield f"died at          {time_of(entry.died_at)}"
    yield f"source           {message.source or UNKNOWN}"
    yield f"correlation id   {message.correlation_id or UNKNOWN}"
    yield f"content type     {message.content_type or UNKNOWN}"
    for name, value in sorted(message.headers.items()):
        yield f"header           {name}: {value}"
    yield ""
    yield from _body(message.body)


@dataclass(slots=True)
class Distribution:
    """Of the dead letters of one subscription."""

    subscription: str
    count: int = 0
    reasons: Counter[str] = field(default_factory=Counter[str])
    groups: Groups = field(default_factory=Groups)
    oldest: datetime | None = None
    newest: datetime | None = None

    def add(self, entry: DeadLetterEntry) -> None:
        self.count += 1
        self.reasons[entry.reason] += 1
        self.groups.add(entry)
        if entry.died_at is not None:
            self.oldest = min(self.oldest or entry.died_at, entry.died_at)
            self.newest = max(self.newest or entry.died_at, entry.died_at)

    def as_json(self, now: datetime) -> dict[str, object]:
        """Ages in seconds; null where no time is known."""
        return {
            "subscription": self.subscription,
            "dead": self.count,
            "oldest_age": _seconds(now, self.oldest),
            "newest_age": _seconds(now, self.newest),
            "reasons": dict(self.reasons.most_common()),
            "errors": [group_as_json(group) for group in self.groups.largest_first()],
        }

    def lines(self) -> Iterator[str]:
        yield f"{self.subscription}: {many(self.count, 'dead letter')}"
        if not self.count:
            return
        yield f"oldest  {time_of(self.oldest)}"
        yield f"newest  {time_of(self.newest)}"
        for reason, count in self.reasons.most_common():
            yield f"reason  {count:>7}  {count / self.count:>6.1%}  {reason or UNKNOWN}"
        for group in self.groups.largest_first():
            share = f"{group.count:>7}  {group.count / self.count:>6.1%}"
            yield f"error   {share}  {group.event_type}: {group.error}"


def write(text: str, *, keep: str = "") -> None:
    """A line of data, inert; or, with the line breaks kept, ten thousand at once."""
    click.echo(without_controls(text, keep=keep))


def _row(cells: Sequence[str]) -> str:
    *fixed, last = cells
    padded = [cell.ljust(width) for cell, width in zip(fixed, _WIDTHS.values(), strict=True)]
    return "  ".join([*padded, last]).rstrip()


def _body(body: bytes) -> Iterator[str]:
    if len(body) > _LONGEST_BODY:
        yield f"({len(body)} bytes: eventbus dead export has them all)"
        return
    try:
        yield from json.dumps(json.loads(body), indent=2, ensure_ascii=False).splitlines()
    except (ValueError, RecursionError):
        yield f"no JSON, {len(body)} bytes:"
        yield ascii(body)[2:-1]


def _seconds(now: datetime, moment: datetime | None) -> float | None:
    return None if moment is None else max(0.0, (now - moment).total_seconds())
