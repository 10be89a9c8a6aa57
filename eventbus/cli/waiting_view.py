"""What waits on this side of the broker: in the outbox of the store, and in the spool."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from eventbus.clock import Clock
from eventbus.errors import EventBusError
from eventbus.keeping import spool_path, store_url
from eventbus.settings import Settings
from eventbus.store import Backlog
from eventbus.stores.looking import backlog_at
from eventbus.stores.spooling import spool_url


@dataclass(frozen=True, slots=True)
class Waiting:
    """None where there is no such thing."""

    outbox: Backlog | None = None
    spool: Backlog | None = None
    troubles: Sequence[str] = ()
    """Of what could not be looked into."""


async def look_at_waiting(settings: Settings, clock: Clock) -> Waiting:
    """The store that is named, or the files that lie where they are by default. Changes nothing."""
    found: list[Backlog | None] = []
    troubles: list[str] = []
    for url in (store_url(settings), spool_url(spool_path(settings))):
        try:
            found.append(await backlog_at(url, clock))
        except EventBusError as error:
            found.append(None)
            troubles.append(str(error))
    return Waiting(found[0], found[1], tuple(troubles))


def waiting_lines(waiting: Waiting) -> list[str]:
    """For people: what waits, and nothing where nothing does."""
    backlogs = (("outbox", waiting.outbox), ("spool", waiting.spool))
    return [_line(name, backlog) for name, backlog in backlogs if backlog is not None and backlog.events]


def backlog_json(backlog: Backlog | None) -> dict[str, object] | None:
    if backlog is None:
        return None
    return {"events": backlog.events, "bytes": backlog.bytes, "oldest_age": backlog.oldest_age}


def told_age(seconds: float) -> str:
    """`850 ms`, `12 s`, `3 min`, `5 h`, `2 d`."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    for unit, length, most in (("s", 1, 120), ("min", 60, 7200), ("h", 3600, 172_800)):
        if seconds < most:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds / 86_400:.0f} d"


def _line(name: str, backlog: Backlog) -> str:
    waits = "1 event waits" if backlog.events == 1 else f"{backlog.events} events wait"
    age = "" if backlog.oldest_age is None else f", the oldest for {told_age(backlog.oldest_age)}"
    return f"{name}: {waits} for the broker ({backlog.bytes} bytes{age})"
