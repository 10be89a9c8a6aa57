"""`eventbus status`: how the subscriptions are doing."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, NoReturn

import click

from eventbus.broker_report import BrokerReport
from eventbus.bus import Bus
from eventbus.cli.broker_view import short_json, troubles
from eventbus.cli.connection import looking_bus, settings_for
from eventbus.cli.exits import ExitCode, complain, told
from eventbus.cli.options import Common, Format, common_options
from eventbus.cli.output import UNKNOWN, console, note, print_json, print_line, show, table
from eventbus.cli.targets import load_services, use_working_directory
from eventbus.cli.waiting_view import (
    Waiting,
    backlog_json,
    catching_up_json,
    look_at_waiting,
    store_json,
    told_age,
    waiting_lines,
)
from eventbus.errors import BrokerUnreachable, ConfigurationError, EventBusError, TopologyError
from eventbus.settings import Settings
from eventbus.transport import QueueStats

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

EVERY: Final = 1.0
"""Seconds between two looks with --watch."""

COLUMNS: Final = ("subscription", "ready", "in flight", "delayed", "dead", "oldest", "consumers")

Present = Callable[["Look"], None]


@click.command(short_help="Show how the subscriptions are doing.")
@click.argument("targets", metavar="[MODULE:SERVICE…]", nargs=-1)
@click.option("--watch", is_flag=True, help="Look again every second, until Ctrl-C.")
@common_options
def status(common: Common, targets: tuple[str, ...], watch: bool) -> int:  # noqa: FBT001
    """Show for each subscription what waits, runs and failed: of the services named, or of all on the broker.

    Ready: waiting for a worker. In flight: handed over, not settled. Delayed: waiting for its next attempt.
    Dead: given up, kept. Oldest: how long the first of the ready ones has waited. Consumers: processes that
    take from the queue. A dash where the broker does not tell. With --output json each look is one line.
    Alarms of the broker, and connections that it takes no messages from, are told on stderr. Below the table:
    what waits for the broker in the outbox of the store, and in the spool; and how far new subscriptions have
    caught up with history.

    \b
    Example:
      eventbus status --watch
    """
    use_working_directory()
    queues = [member.queue for service in load_services(targets) for member in service]
    settings = settings_for(common)
    place = Place(looking_bus(settings), settings)
    look = _watch if watch else _look_once
    return asyncio.run(look(place, queues, common.output))


@dataclass(frozen=True, slots=True)
class Place:
    """What is looked at: a broker, by a bus that opens no store, and the store as it lies."""

    bus: Bus
    settings: Settings

    async def waiting(self) -> Waiting:
        return await look_at_waiting(self.settings, self.bus.clock)


async def _look_once(place: Place, queues: Sequence[str], output: Format) -> ExitCode:
    try:
        async with place.bus:
            look = await _look(place, queues)
    except BrokerUnreachable:  # then what waits for it is of interest more than ever
        for line in waiting_lines(await place.waiting()):
            note(line)
        raise
    for trouble in look.troubles:
        complain(trouble)
    for trouble in (*look.of_the_broker, *look.waiting.troubles):
        note(trouble)
    if output == "json":
        print_json(as_json(look))
    else:
        _show(look, at=place.bus.transport.url)
    if not look.troubles:
        return ExitCode.DONE
    return ExitCode.PARTLY if look.stats else ExitCode.FAILED


async def _watch(place: Place, queues: Sequence[str], output: Format) -> NoReturn:
    """What goes wrong meanwhile is told when it begins; a broker that goes away is waited for."""
    told_before: tuple[str, ...] = ()
    passing: tuple[type[EventBusError], ...] = (BrokerUnreachable,)
    async with place.bus, _presenting(output) as present:
        while True:
            try:
                look = await _look(place, queues)
            except passing as error:
                look = Look((), (told(error),))
            else:
                # It has worked: that the management API does not answer means that the broker is away.
                passing = (BrokerUnreachable, ConfigurationError)
                present(look)
            now = (*look.troubles, *look.of_the_broker, *look.waiting.troubles)
            for trouble in now:
                if trouble not in told_before:
                    complain(trouble)
            told_before = now
            await asyncio.sleep(EVERY)


@dataclass(frozen=True, slots=True)
class Look:
    stats: Sequence[QueueStats]
    troubles: tuple[str, ...]
    """Of queues that are not there; the others are shown all the same."""
    report: BrokerReport | None = None
    waiting: Waiting = field(default_factory=Waiting)

    @property
    def of_the_broker(self) -> tuple[str, ...]:
        """Its alarms, and the connections that it takes no messages from."""
        return () if self.report is None else tuple(troubles(self.report))


async def _look(place: Place, queues: Sequence[str]) -> Look:
    look, report, waiting = await asyncio.gather(
        _look_at_queues(place.bus, queues), place.bus.transport.inspect(), place.waiting()
    )
    return replace(look, report=report, waiting=waiting)


async def _look_at_queues(bus: Bus, queues: Sequence[str]) -> Look:
    wanted = queues or await bus.transport.queues()
    try:
        return Look(await bus.transport.stats(wanted), ())
    except TopologyError:
        stats: list[QueueStats] = []
        troubles: list[str] = []
        for queue in wanted:
            try:
                stats += await bus.transport.stats([queue])
            except TopologyError as error:
                troubles.append(told(error))
        return Look(stats, tuple(troubles))


@asynccontextmanager
async def _presenting(output: Format) -> AsyncGenerator[Present]:
    """How one look after the other is shown: in the same place on a terminal, below one another elsewhere."""
    if output == "json":
        yield lambda look: print_json(as_json(look))
    elif not sys.stdout.isatty():
        yield _show
    else:
        from rich.console import Group
        from rich.live import Live

        with Live(console=console(), auto_refresh=False) as live:
            yield lambda look: live.update(
                Group(as_table(look.stats), *waiting_lines(look.waiting)), refresh=True
            )


def _show(look: Look, *, at: str = "") -> None:
    """`at`: the broker, which is told of where it has no subscription."""
    if look.stats or not at:
        show(as_table(look.stats))
    elif not look.troubles:
        note(
            f"there is no subscription at {at} yet: eventbus run makes some; "
            "if it runs already, name its broker (--url or EVENTBUS_URL)"
        )
    for line in waiting_lines(look.waiting):
        print_line(line)


def as_json(look: Look) -> dict[str, object]:
    """`oldest_age` in seconds; null where the transport cannot know, and where nothing is ready."""
    return {
        "broker": None if look.report is None else short_json(look.report),
        "store": store_json(look.waiting.store),
        "outbox": backlog_json(look.waiting.outbox),
        "spool": backlog_json(look.waiting.spool),
        "catching_up": catching_up_json(look.waiting),
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
            for each in look.stats
        ],
    }


def as_table(stats: Sequence[QueueStats]) -> Table:
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
    """Blank where nothing waits."""
    if not stats.ready:
        return ""
    return UNKNOWN if stats.oldest_age is None else told_age(stats.oldest_age)
