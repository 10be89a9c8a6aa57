"""What waits on this side of the broker: in the outbox, in the spool, and history for new subscriptions."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from eventbus.catchup import KIND, Progress, pages_of
from eventbus.clock import Clock
from eventbus.counted import many
from eventbus.errors import EventBusError
from eventbus.logbook import Page
from eventbus.settings import Settings
from eventbus.store import Backlog, StoreReport
from eventbus.stores.looking import backlogs_at, pages_at, report_on
from eventbus.stores.spooling import spool_url
from eventbus.whose import bus_of, spool_path, store_url

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Waiting:
    """None where there is no such thing."""

    store: StoreReport | None = None
    outbox: Backlog | None = None
    spool: Backlog | None = None
    catching_up: Sequence[tuple[Page, Progress]] = ()
    """Subscriptions that are not live yet."""
    troubles: Sequence[str] = ()
    """Of what could not be looked into."""


async def look_at_waiting(settings: Settings, clock: Clock) -> Waiting:
    """The store that is named, or the files that lie where they are by default. Changes nothing."""
    url = store_url(settings)
    spooled = spool_url(spool_path(settings))
    store, (outbox, unreadable), (pages, unread), (spool, trouble) = await asyncio.gather(
        look_at_store(settings),
        _found(backlogs_at(url, bus_of(settings), clock)),
        _found(pages_at(url, KIND)),
        _found(backlogs_at(spooled, bus_of(settings, kept_in=spooled), clock)),
    )
    store = replace(store, problem=store.problem or unreadable or unread)
    return Waiting(
        store=store,
        outbox=None if outbox is None else outbox.own,
        spool=None if spool is None else spool.own,
        catching_up=_not_live(pages_of(pages or (), bus_of(settings))),
        troubles=(*store_troubles(store), *([] if trouble is None else [str(trouble)])),
    )


async def look_at_store(settings: Settings) -> StoreReport:
    """As it lies: nothing is created, migrated or claimed."""
    return await report_on(store_url(settings), is_named=settings.store is not None)


def store_json(store: StoreReport | None) -> dict[str, object] | None:
    return None if store is None else {"url": store.url, "problem": store.reason}


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


async def _found(looking: Awaitable[Answer]) -> tuple[Answer | None, EventBusError | None]:
    try:
        return await looking, None
    except EventBusError as error:
        return None, error


def store_troubles(store: StoreReport) -> Iterator[str]:
    """Why it cannot be used, in words; nothing where it can."""
    if store.is_missing:
        yield f"the store {store.url} is not there: {store.reason}"
    elif store.problem is not None:
        yield str(store.problem)


def _line(name: str, backlog: Backlog) -> str:
    waits = many(backlog.events, "event waits", "events wait")
    age = "" if backlog.oldest_age is None else f", the oldest for {told_age(backlog.oldest_age)}"
    return f"{name}: {waits} for the broker ({backlog.bytes} bytes{age})"


def _catching_up(page: Page, progress: Progress) -> str:
    left = progress.seconds_left()
    ready = "" if left is None or not page.is_in_hand else f", about {told_age(left)} to go"
    stands = "" if page.is_in_hand else "; no worker goes on with it now"
    read = f"{progress.read} of about {progress.total} entries of history"
    return f"{page.name} catches up: {read}{ready}{stands}"


def _not_live(known: Mapping[str, tuple[Page, Progress]]) -> list[tuple[Page, Progress]]:
    """Each page under the name of its subscription."""
    return [
        (replace(page, name=subscription), progress)
        for subscription, (page, progress) in known.items()
        if progress.phase != "live"
    ]
