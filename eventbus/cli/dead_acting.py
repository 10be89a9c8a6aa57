"""Looking at dead letters and moving them: what the verbs of `eventbus dead` share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass

from eventbus.cli.connection import looking_bus, settings_for
from eventbus.cli.dead_options import ask
from eventbus.cli.dead_view import header, row, write
from eventbus.cli.exits import ExitCode, complain, exit_code, told
from eventbus.cli.options import Common
from eventbus.cli.output import note, print_json
from eventbus.cli.progress import progress
from eventbus.dead_letters import NOTHING_SECRET, DeadLetters, Moved, Selection, as_json
from eventbus.secret import Secrets
from eventbus.transport import DeadLetterEntry

_MOST_FAILURES_TOLD = 20


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which dead letters of which subscription a command line names."""

    common: Common
    subscription: str
    selection: Selection
    limit: int | None = None
    secrets: Secrets = NOTHING_SECRET
    """What is not shown of them."""


Carry = Callable[[DeadLetters, Callable[[Moved], None]], Awaitable[Moved]]
"""Redrives or discards, and says how far it has come."""
Tell = Callable[[str, Moved], None]
"""What else is to be said of what was done with a subscription."""


@asynccontextmanager
async def opened(common: Common, subscription: str) -> AsyncGenerator[DeadLetters]:
    settings = settings_for(common)
    async with looking_bus(settings) as bus:
        yield DeadLetters(bus.transport, subscription, timeout=settings.publish_timeout)


async def look(wanted: Wanted, take: Callable[[DeadLetterEntry], None], *, quiet: bool = False) -> int:
    """Give each of those wanted to `take`; how many. Says on stderr where others hold some of them."""
    async with opened(wanted.common, wanted.subscription) as letters:
        return await look_through(letters, wanted, take, quiet=quiet)


async def look_through(
    letters: DeadLetters, wanted: Wanted, take: Callable[[DeadLetterEntry], None], *, quiet: bool = False
) -> int:
    """`quiet`: without a progress bar, which must not be drawn between what is printed meanwhile."""
    before = await letters.stats()
    taken = seen = 0
    with progress("looking", 0 if quiet else before.dead) as tell:

        def count(so_far: int) -> None:
            nonlocal seen
            seen = so_far
            tell(so_far)

        async with aclosing(letters.look(wanted.selection, seen=count)) as batches:
            async for batch in batches:
                for entry in batch[: None if wanted.limit is None else wanted.limit - taken]:
                    take(entry)
                    taken += 1
                if wanted.limit is not None and taken >= wanted.limit:
                    return taken
    if before.dead_consumers:
        note(f"{before.dead_consumers} more take from {letters.queue}.dead now: what they hold is not shown")
    elif seen < before.dead:
        note(f"{before.dead - seen} more were not handed over: others hold them, or there are over 65 535")
    return taken


def show_which(wanted: Wanted) -> int:
    """Print them; how many."""
    if wanted.common.output == "json":
        entries: list[dict[str, object]] = []
        count = asyncio.run(
            look(wanted, lambda entry: entries.append(as_json(entry, wanted.subscription, wanted.secrets)))
        )
        print_json({"subscription": wanted.subscription, "dead_letters": entries})
        return count
    rows: list[str] = []
    count = asyncio.run(look(wanted, lambda entry: rows.append(row(entry, wanted.secrets))))
    if rows:
        write("\n".join([header(), *rows]), keep="\n")
    return count


def act(
    wanted: Wanted, doing: str, done: str, carry: Carry, *, yes: bool, tell: Tell = lambda _, __: None
) -> ExitCode:
    """Ask, unless told not to, and do it. `doing` and `done`: in words, `redrive` and `redriven`."""
    if not yes:
        count = asyncio.run(look(wanted, lambda _: None))
        if not count:
            return _nothing(wanted)
        ask(f"{doing} {count} of the dead letters of {wanted.subscription}?")
    moved = asyncio.run(_carry_out(wanted, doing, carry))
    tell(wanted.subscription, moved)
    return _report(wanted, moved, done)


def tell_unattended(subscription: str, moved: Moved) -> None:
    """Of a redrive: somebody who has renamed a handler would wait for nothing."""
    if moved.done and not moved.consumers:
        note(f"nobody consumes {subscription} now: there they wait until a worker has it")


async def _carry_out(wanted: Wanted, doing: str, carry: Carry) -> Moved:
    async with opened(wanted.common, wanted.subscription) as letters:
        lying = (await letters.stats()).dead
        limit = wanted.limit
        with progress(doing, lying if limit is None else min(limit, lying)) as tell:
            return await carry(letters, lambda moved: tell(moved.seen if limit is None else moved.tried))


def _report(wanted: Wanted, moved: Moved, done: str) -> ExitCode:
    absent = sorted(wanted.selection.ids - moved.ids)
    held = _are_held(wanted, moved)
    is_whole = not (moved.failures or absent or moved.missing or held or moved.unsure or moved.stopped)
    if is_whole and not moved.done:
        return _nothing(wanted)
    for id in absent:
        complain(f"{wanted.subscription} has no dead letter {id} here")
    _tell_what_stays(wanted, moved, held=held)
    if wanted.common.output == "json":
        failed = [{"id": id, "error": str(error)} for id, error in moved.failures]
        print_json(
            {done: moved.done, "failed": failed, "absent": absent, "missing": moved.missing}
            | ({"others": moved.others} if held else {})
            | ({"unsure": moved.unsure} if moved.unsure else {})
        )
    note(f"{moved.done} {done}")
    if is_whole:
        return ExitCode.DONE
    if moved.done or moved.unsure:
        return ExitCode.PARTLY
    return ExitCode.FAILED if moved.stopped is None else exit_code(moved.stopped)


def _tell_what_stays(wanted: Wanted, moved: Moved, *, held: bool) -> None:
    for id, error in moved.failures[:_MOST_FAILURES_TOLD]:
        complain(f"{id} stays: {told(error)}")
    if len(moved.failures) > _MOST_FAILURES_TOLD:
        complain(f"{len(moved.failures) - _MOST_FAILURES_TOLD} more stay")
    if held:
        complain(f"{moved.others} more took from {wanted.subscription}.dead: what they held is left out")
    elif moved.missing:
        complain(f"{moved.missing} were not handed over: others hold them, or there are over 65 535")
    if moved.unsure:
        complain(unsure(moved))
    elif moved.stopped is not None and all(error is not moved.stopped for _, error in moved.failures):
        complain(told(moved.stopped))


def unsure(moved: Moved) -> str:
    """What is to be said where `Moved.unsure` is not 0."""
    why = "others may hold them" if moved.stopped is None else told(moved.stopped)
    return f"{moved.unsure} more were carried out, and may still be there, for the connection was lost: {why}"


def _are_held(wanted: Wanted, moved: Moved) -> bool:
    """Whether others may have held some of those wanted: not where all that was asked for was found."""
    everything_asked_for = (
        wanted.selection.ids <= moved.ids if wanted.selection.ids else moved.tried == wanted.limit
    )
    return moved.others > 0 and not everything_asked_for


def _nothing(wanted: Wanted) -> ExitCode:
    ids = sorted(wanted.selection.ids)
    for id in ids:
        complain(f"{wanted.subscription} has no dead letter {id} here")
    if ids:
        return ExitCode.FAILED
    note(f"no dead letter of {wanted.subscription} is meant")
    return ExitCode.DONE
