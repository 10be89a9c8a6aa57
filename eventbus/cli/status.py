"""`eventbus status`: how the subscriptions are doing."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import click

from eventbus.bus import Bus
from eventbus.cli.connection import make_bus, settings_for
from eventbus.cli.exits import ExitCode, complain, told
from eventbus.cli.options import Common, Format, common_options
from eventbus.cli.output import UNKNOWN, console, note, print_json, show, table
from eventbus.cli.targets import load_services, use_working_directory
from eventbus.errors import BrokerUnreachable
from eventbus.transport import QueueStats

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

EVERY: Final = 1.0
"""Seconds between two looks with --watch."""

COLUMNS: Final = ("subscription", "ready", "in flight", "delayed", "dead", "oldest", "consumers")

Present = Callable[[Sequence[QueueStats]], None]


@click.command(short_help="Show how the subscriptions are doing.")
@click.argument("targets", metavar="[MODULE:SERVICE…]", nargs=-1)
@click.option("--watch", is_flag=True, help="Look again every second, until Ctrl-C.")
@common_options
def status(common: Common, targets: tuple[str, ...], watch: bool) -> int:  # noqa: FBT001
    """Show for each subscription what waits, runs and failed: of the services named, or of all on the broker.

    Ready: waiting for a worker. In flight: handed over, not settled. Delayed: waiting for its next attempt.
    Dead: given up, kept. Oldest: how long the first of the ready ones has waited. Consumers: processes that
    take from the queue. A dash where the broker does not tell. With --output json each look is one line.

    \b
    Example:
      eventbus status --watch
    """
    use_working_directory()
    queues = [member.queue for service in load_services(targets) for member in service]
    bus = make_bus(settings_for(common), "cli", declare=False)
    asyncio.run(_watch(bus, queues, common.output) if watch else _look_once(bus, queues, common.output))
    return ExitCode.DONE


async def _look_once(bus: Bus, queues: Sequence[str], output: Format) -> None:
    async with bus:
        stats = await _look(bus, queues)
    if output == "json":
        print_json(_as_json(stats))
    elif stats:
        show(_as_table(stats))
    else:
        note(f"there is no subscription at {bus.transport.url} yet: eventbus run makes some")


async def _watch(bus: Bus, queues: Sequence[str], output: Format) -> None:
    """A broker that goes away is told, once, and waited for."""
    is_away = False
    async with bus, _presenting(output) as present:
        while True:
            try:
                present(await _look(bus, queues))
                is_away = False
            except BrokerUnreachable as error:
                if not is_away:
                    complain(told(error))
                is_away = True
            await asyncio.sleep(EVERY)


async def _look(bus: Bus, queues: Sequence[str]) -> Sequence[QueueStats]:
    return await bus.transport.stats(queues or await bus.transport.queues())


@asynccontextmanager
async def _presenting(output: Format) -> AsyncGenerator[Present]:
    """How one look after the other is shown: in the same place on a terminal, below one another elsewhere."""
    if output == "json":
        yield lambda stats: print_json(_as_json(stats))
    elif not sys.stdout.isatty():
        yield lambda stats: show(_as_table(stats))
    else:
        from rich.live import Live

        with Live(console=console(), auto_refresh=False) as live:
            yield lambda stats: live.update(_as_table(stats), refresh=True)


def _as_json(stats: Sequence[QueueStats]) -> dict[str, object]:
    """`oldest_age` in seconds; null where the transport cannot know, and where nothing is ready."""
    return {
        "subscriptions": [
            {
                "subscription": each.queue,
                "ready": each.ready,
                "in_flight": each.in_flight,
                "delayed": each.delayed,
                "dead": each.dead,
                "oldest_age": each.oldest_age,
                "consumers": each.consumers,
            }
            for each in stats
        ]
    }


def _as_table(stats: Sequence[QueueStats]) -> Table:
    return table(COLUMNS, [_row(each) for each in stats], numbers=COLUMNS[1:])


def _row(stats: QueueStats) -> list[str | Text]:
    from rich.text import Text

    unattended = stats.consumers == 0 and stats.ready > 0
    return [
        stats.queue,
        str(stats.ready),
        _number(stats.in_flight),
        _number(stats.delayed),
        Text(str(stats.dead), style="bold red" if stats.dead else ""),
        _age(stats),
        Text(str(stats.consumers), style="bold yellow" if unattended else ""),
    ]


def _number(known: int | None) -> str:
    return UNKNOWN if known is None else str(known)


def _age(stats: QueueStats) -> str:
    """Blank where nothing waits; `850 ms`, `12 s`, `3 min`, `5 h`, `2 d`."""
    if not stats.ready:
        return ""
    if (seconds := stats.oldest_age) is None:
        return UNKNOWN
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    for unit, length, most in (("s", 1, 120), ("min", 60, 7200), ("h", 3600, 172_800)):
        if seconds < most:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds / 86_400:.0f} d"
