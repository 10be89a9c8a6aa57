"""Replays as they are shown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from eventbus.cli.output import UNKNOWN, note, print_line, show, table
from eventbus.counted import many
from eventbus.replay import Replay

if TYPE_CHECKING:
    from rich.table import Table

_COLUMNS = ("replay", "subscription", "state", "sent", "read", "of", "began", "events")


def as_table(replays: Sequence[Replay]) -> Table:
    return table(_COLUMNS, [_row(each) for each in replays], numbers=("sent", "read", "of"))


def tell(replay: Replay) -> None:
    """How it ended, and what is to be done about it."""
    print_line(
        f"{replay.id} {replay.state}: {many(replay.sent, 'event')} to {replay.request.subscription}, "
        f"{replay.read} of about {replay.total} read"
    )
    if replay.unreadable:
        odd = many(replay.unreadable, "entry", "entries")
        note(f"{odd} of the history cannot be read: left out, see the log")
    if replay.missing:
        gone = many(replay.missing, "entry", "entries")
        note(f"removed by the history's retention, and in no archive: {gone}")
    if replay.state in ("paused", "interrupted"):
        note(f"to go on: eventbus replay resume {replay.id}")


def tell_counts(replay: Replay, types: Counter[str]) -> None:
    """What a replay would bring."""
    if types:
        show(
            table(
                ("event type", "events"),
                [(name, str(count)) for name, count in sorted(types.items())],
                numbers=("events",),
            )
        )
    print_line(f"{many(replay.sent, 'event')} would go to {replay.request.subscription}")
    if replay.unreadable:
        note(f"{many(replay.unreadable, 'entry', 'entries')} of the history cannot be read: to be left out")


def _row(replay: Replay) -> Sequence[str]:
    return (
        replay.id,
        replay.request.subscription,
        replay.state,
        str(replay.sent),
        str(replay.read),
        str(replay.total),
        _moment(replay.began_at),
        _which(replay),
    )


def _which(replay: Replay) -> str:
    request = replay.request
    parts = [", ".join(request.types) or "all", "again" if request.reprocess else "unhandled"]
    if request.since is not None:
        parts.append(f"since {_moment(request.since)}")
    if request.until is not None:
        parts.append(f"until {_moment(request.until)}")
    return " ".join(parts) or UNKNOWN


def _moment(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
