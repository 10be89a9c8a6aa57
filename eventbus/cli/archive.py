"""`eventbus archive`: keeps the history for longer than the broker does."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import click

from eventbus.archive import Archive
from eventbus.archiving import Archiving
from eventbus.cli.connection import SOURCE, only_visit
from eventbus.cli.exits import ExitCode
from eventbus.cli.options import Common, Format, archive_option, common_options
from eventbus.cli.output import print_json, print_line
from eventbus.clock import SystemClock
from eventbus.codec import Codec, Limits
from eventbus.connecting import connect
from eventbus.keeping import make_archive
from eventbus.logs import configure, get_logger
from eventbus.opening import Opening
from eventbus.settings import Settings
from eventbus.stopping import on_signals
from eventbus.transport import Transport
from eventbus.waiting import done_before


@click.command(short_help="Keep the history for longer than the broker does.")
@click.option("--once", is_flag=True, help="Copy what is there now, say how much that was, and end.")
@archive_option
@common_options
def archive(common: Common, once: bool, archive: str | None) -> int:  # noqa: FBT001
    """Copy the history to a database as it grows, until SIGTERM or Ctrl-C; go on where it was the next time.

    Each event is there once, and the place in the history is committed with the events. Replays and late
    subscriptions read the archive before the log where EVENTBUS_ARCHIVE (or --archive) names it. One process
    at a time copies to an archive. While broker or archive are away it waits.

    \b
    Example:
      eventbus archive --archive postgresql://eventbus@db/archive --url amqp://guest:guest@localhost/
    """
    settings = Settings.from_environment(url=common.url, store=common.store, archive=archive)
    configure("json" if common.output == "json" else settings.log_format, level=settings.log_level)
    return asyncio.run(_copy_once(settings, common.output) if once else _serve(settings))


async def _copy_once(settings: Settings, output: Format) -> ExitCode:
    transport, kept = connect(settings, SOURCE, SystemClock()), make_archive(settings)
    only_visit(transport)
    async with AsyncExitStack() as stack:
        await kept.open()
        stack.push_async_callback(kept.close)
        await transport.open()
        stack.push_async_callback(transport.close)
        copying = _copying(settings, transport, kept)
        await copying.catch_up()
    if output == "json":
        print_json({"copied": copying.copied})
    else:
        print_line(f"copied {copying.copied}")
    return ExitCode.DONE


async def _serve(settings: Settings) -> ExitCode:
    """A broker and an archive that are away when it starts are waited for."""
    transport, kept = connect(settings, SOURCE, SystemClock()), make_archive(settings)
    opening = Opening(transport.url)
    stop = asyncio.Event()
    with on_signals(stop, lambda: None):
        async with AsyncExitStack() as stack:
            for part in (kept, transport):
                if not await done_before(stop, opening.insist(part.open)):
                    return ExitCode.DONE
                stack.push_async_callback(part.close)
            copying = _copying(settings, transport, kept)
            await done_before(stop, opening.insist(copying.follow))
            get_logger("eventbus.archive").info("archive.stopped", copied=copying.copied)
    return ExitCode.DONE


def _copying(settings: Settings, transport: Transport, kept: Archive) -> Archiving:
    return Archiving(transport, kept, Codec(Limits(body=settings.max_body_bytes)), SystemClock())
