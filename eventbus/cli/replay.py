"""`eventbus replay`: history to one subscription, again."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final, TypeVar

import click

from eventbus.cli.exits import ExitCode
from eventbus.cli.moments import Moment
from eventbus.cli.options import Common, archive_option, common_options, rate_option
from eventbus.cli.output import note, print_json, show
from eventbus.cli.replay_acting import (
    Carrying,
    all_of,
    ask,
    carry_out,
    count,
    settings_of,
    warn_of_what_is_forgotten,
)
from eventbus.cli.replay_view import as_table
from eventbus.replay import ReplayRequest

Answer = TypeVar("Answer")

_START: Final = "start"


class _Verbs(click.Group):
    """`replay SUBSCRIPTION` begins one: a subscription's name has a dot, and no verb has."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] != "--help":
            args = [_START, *args]
        return super().parse_args(ctx, args)


def _request_options(verb: Callable[..., Answer]) -> Callable[..., Answer]:
    """Add the filters; the verb gets `make_request`: a `ReplayRequest` of the subscription it is given."""

    @click.option(
        "--type", "types", metavar="PATTERN", multiple=True, help="Only these types: 'order.*'; repeatable."
    )
    @click.option("--since", metavar="TIME", type=Moment(), help="Only what happened from then on.")
    @click.option("--until", metavar="TIME", type=Moment(), help="Only what happened before.")
    @click.option("--reprocess", is_flag=True, help="Have handled again what was handled before.")
    @rate_option
    @functools.wraps(verb)
    def with_request(
        types: tuple[str, ...],
        since: datetime | None,
        until: datetime | None,
        reprocess: bool,  # noqa: FBT001
        rate: float | None,
        **others: Any,
    ) -> Answer:
        def make_request(subscription: str) -> ReplayRequest:
            return ReplayRequest(subscription, types, since, until, reprocess, rate)

        return verb(make_request=make_request, **others)

    return with_request


@click.group(
    cls=_Verbs,
    short_help="Bring history to one subscription again.",
    subcommand_metavar="SUBSCRIPTION | VERB …",
)
def replay() -> None:
    """Bring history to one subscription again; nobody else notices.

    `eventbus replay SUBSCRIPTION` begins one and shows how far it is; `eventbus replay start --help` tells
    its options. It survives the end of this command, by Ctrl-C or kill -9: `replay list` shows it as
    interrupted, `replay resume` goes on where it was. How far each is stands in the store (--store), so the
    same one must be given each time.

    \b
    Example:
      eventbus replay payment.charge_order --since 2026-02-14 --until 2026-02-15 --dry-run
    """


@replay.command(_START, short_help="Begin one: `eventbus replay SUBSCRIPTION` does the same.")
@click.argument("subscription")
@_request_options
@click.option("--dry-run", is_flag=True, help="Count by event type; send nothing.")
@archive_option
@common_options
def start(
    common: Common,
    make_request: Callable[[str], ReplayRequest],
    subscription: str,
    dry_run: bool,  # noqa: FBT001
    archive: str | None,
) -> int:
    """Send what was published in the past to one subscription's queue, with the ids it had.

    By default only what the subscription has not handled is handled: a gap is repaired. With --reprocess all
    of it is handled once more; the handler sees the replay's id in its context, and may leave out what should
    not happen twice. A TIME without a zone is in UTC.

    Exit code 3 where it was paused or cancelled meanwhile, or entries of the history could not be read.

    \b
    Example:
      eventbus replay payment.charge_order --type 'order.*' --since 2d --rate 500
    """
    settings, request = settings_of(common, archive), make_request(subscription)
    if dry_run:
        return asyncio.run(count(settings, common, request))
    warn_of_what_is_forgotten(settings, request)
    carrying = Carrying(
        lambda replays: replays.prepare(request), lambda replays, it, told: replays.run(it, told)
    )
    return asyncio.run(carry_out(settings, common, carrying))


@replay.command("list", short_help="Show the replays there were.")
@common_options
def list_replays(common: Common) -> int:
    """Show the replays of this store, the oldest first, and how far each is.

    \b
    Example:
      eventbus replay list --output json
    """
    found = asyncio.run(all_of(settings_of(common)))
    if common.output == "json":
        print_json({"replays": [each.as_json() for each in found]})
    elif found:
        show(as_table(found))
    else:
        note("there is no replay in this store")
    return ExitCode.DONE


@replay.command("pause", short_help="Let a running one stop, to go on later.")
@click.argument("replay_id", metavar="ID")
@common_options
def pause(common: Common, replay_id: str) -> int:
    """Let a running replay stop where it is; `eventbus replay resume` goes on.

    \b
    Example:
      eventbus replay pause rpl_019b…
    """
    return asyncio.run(ask(common, lambda replays: replays.pause(replay_id)))


@replay.command("cancel", short_help="End one for good.")
@click.argument("replay_id", metavar="ID")
@common_options
def cancel(common: Common, replay_id: str) -> int:
    """End a replay; what it has sent stays sent.

    \b
    Example:
      eventbus replay cancel rpl_019b…
    """
    return asyncio.run(ask(common, lambda replays: replays.cancel(replay_id)))


@replay.command("resume", short_help="Go on with one that was paused or interrupted.")
@click.argument("replay_id", metavar="ID")
@rate_option
@archive_option
@common_options
def resume(common: Common, replay_id: str, rate: float | None, archive: str | None) -> int:
    """Go on with a replay that was paused, or whose command was ended, where it was; at its rate, or another.

    \b
    Example:
      eventbus replay resume rpl_019b…
    """
    carrying = Carrying(
        lambda replays: replays.find(replay_id),
        lambda replays, it, told: replays.resume(it.id, told, rate=rate),
    )
    return asyncio.run(carry_out(settings_of(common, archive), common, carrying))
