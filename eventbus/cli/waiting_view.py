"""What waits on this side of the broker: in the outbox, in the spool, and history for new subscriptions."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from eventbus.catchup import KIND, Progress
from eventbus.clock import Clock
from eventbus.errors import EventBusError
from eventbus.keeping import spool_path, store_url
from eventbus.logbook import Page
from eventbus.settings import Settings
from eventbus.store import Backlog
from eventbus.stores.looking import backlog_at, pages_at
from eventbus.stores.spooling import spool_url

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Waiting:
    """None where there is no such thing."""

    outbox: Backlog | None = None
    spool: Backlog | None = None
    catching_up: Sequence[tuple[Page, Progress]] = ()
    """Subscriptions that are not live yet."""
    troubles: Sequence[str] = ()
    """Of what could not be looked into."""


async def look_at_waiting(settings: Settings, clock: Clock) -> Waiting:
    """The store that is named, or the files that lie where they are by default. Changes nothing."""
    store = store_url(settings)
    troubles: list[str] = []

    async def found(looking: Awaitable[Answer], otherwise: Answer) -> Answer:
        try:
            return await looking
        except EventBusError as error:
            if str(error) not in troubles:
                troubles.append(str(error))
            return otherwise

    return Waiting(
        outbox=await found(backlog_at(store, clock), None),
        spool=await found(backlog_at(spool_url(spool_path(settings)), clock), None),
        catching_up=_not_live(await found(pages_at(store, KIND), ())),
        troubles=tuple(troubles),
    )


def catching_up_json(waiting: Waiting) -> list[dict[str, object]]:
    return [
        {
            "subscription": page.name,
            "running": page.is_in_hand,
            "read": progress.read,
            "total": progress.total,
            "seconds_left": progress.seconds_left(),
        }
        for page, progress in waiting.catching_up
    ]


def waiting_lines(waiting: Waiting) -> list[str]:
    """For people: what waits, and nothing where nothing does."""
    backlogs = (("outbox", waiting.outbox), ("spool", waiting.spool))
    lines = [_line(name, backlog) for name, backlog in backlogs if backlog is not None and backlog.events]
    return lines + [_catching_up(page, progress) for page, progress in waiting.catching_up]


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


def _catching_up(page: Page, progress: Progress) -> str:
    left = progress.seconds_left()
    ready = "" if left is None or not page.is_in_hand else f", about {told_age(left)} to go"
    stands = "" if page.is_in_hand else "; no worker goes on with it now"
    read = f"{progress.read} of about {progress.total} entries of history"
    return f"{page.name} catches up: {read}{ready}{stands}"


def _not_live(pages: Sequence[Page]) -> list[tuple[Page, Progress]]:
    known = [(page, progress) for page in pages if (progress := Progress.of(page.text)) is not None]
    return [(page, progress) for page, progress in known if progress.phase != "live"]
