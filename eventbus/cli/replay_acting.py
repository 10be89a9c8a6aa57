"""Carrying replays out: what the verbs of `eventbus replay` share."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from eventbus.cli.connection import storing_bus
from eventbus.cli.exits import ExitCode
from eventbus.cli.options import Common
from eventbus.cli.output import note, print_json
from eventbus.cli.progress import progress
from eventbus.cli.replay_view import tell, tell_counts
from eventbus.replay import Replay, ReplayRequest, Replays
from eventbus.settings import Settings

Told = Callable[[Replay], None]

_PATIENCE: Final = 10.0
"""Seconds that a running replay gets to heed a wish."""
_LOOK_AGAIN: Final = 0.2


@dataclass(frozen=True, slots=True)
class Carrying:
    """Which replay, and how it is carried out."""

    find: Callable[[Replays], Awaitable[Replay]]
    run: Callable[[Replays, Replay, Told], Awaitable[Replay]]


def settings_of(common: Common, archive: str | None = None) -> Settings:
    return Settings.from_environment(url=common.url, store=common.store, archive=archive)


async def carry_out(settings: Settings, common: Common, carrying: Carrying) -> ExitCode:
    async with storing_bus(settings) as bus:
        replays = await bus.replays()
        found = await carrying.find(replays)
        with progress("replaying", found.total, found.read) as tell_read:
            ended = await carrying.run(replays, found, _announcing(tell_read))
    if common.output == "json":
        print_json(ended.as_json())
    else:
        tell(ended)
    return ExitCode.DONE if ended.is_whole else ExitCode.PARTLY


def _announcing(tell_read: Callable[[int], None]) -> Told:
    """Names the replay when it has begun, and not where another one is running."""
    announced: set[str] = set()

    def told(now: Replay) -> None:
        if now.id not in announced:
            announced.add(now.id)
            note(f"{now.id} to {now.request.subscription}: about {now.total} entries of history to read")
        tell_read(now.read)

    return told


async def count(settings: Settings, common: Common, request: ReplayRequest) -> ExitCode:
    async with storing_bus(settings) as bus:
        replays = await bus.replays()
        prepared = await replays.prepare(request)
        with progress("counting", prepared.total) as tell_read:
            counted, types = await replays.count(prepared, lambda now: tell_read(now.read))
    if common.output == "json":
        left_out = {"unreadable": counted.unreadable, "missing": counted.missing}
        print_json({"subscription": request.subscription, "events": counted.sent, "types": types, **left_out})
    else:
        tell_counts(counted, types)
    return ExitCode.DONE


async def all_of(settings: Settings) -> list[Replay]:
    async with storing_bus(settings) as bus:
        return await (await bus.replays()).all()


async def ask(common: Common, wish: Callable[[Replays], Awaitable[Replay]]) -> ExitCode:
    """Ask for it, and wait a while until it is so."""
    async with storing_bus(settings_of(common)) as bus:
        replays = await bus.replays()
        asked = await wish(replays)
        now = await _heeded(replays, asked.id)
    if common.output == "json":
        print_json(now.as_json())
    else:
        tell(now)
    return ExitCode.PARTLY if now.state == "running" else ExitCode.DONE


async def _heeded(replays: Replays, replay_id: str) -> Replay:
    """As it is when it runs no more, or after a while."""
    ends = time.monotonic() + _PATIENCE
    while True:
        now = await replays.find(replay_id)
        if now.state != "running" or time.monotonic() >= ends:
            return now
        await asyncio.sleep(_LOOK_AGAIN)


def warn_of_what_is_forgotten(settings: Settings, request: ReplayRequest) -> None:
    """What was handled longer ago than the inbox remembers would be handled again without --reprocess."""
    remembered = datetime.now(UTC) - timedelta(days=settings.inbox_days)
    if not request.reprocess and (request.since is None or request.since < remembered):
        note(
            f"what was handled more than {settings.inbox_days:g} days ago is not remembered, and is handled "
            "again (EVENTBUS_INBOX_DAYS); --since leaves it out"
        )
