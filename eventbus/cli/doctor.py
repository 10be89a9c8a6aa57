"""`eventbus doctor`: what is misconfigured or going wrong, each with its fix."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import click

from eventbus.bus import Bus
from eventbus.cli.broker_view import whole_json
from eventbus.cli.connection import looking_bus, settings_for
from eventbus.cli.exits import ExitCode
from eventbus.cli.options import Common, common_options
from eventbus.cli.others import look_at_others
from eventbus.cli.output import note, print_json, show, table
from eventbus.cli.targets import load_services, use_working_directory
from eventbus.cli.waiting_view import look_at_store, store_troubles
from eventbus.counted import many
from eventbus.diagnosis import Facts, Finding, Severity, diagnose, gather
from eventbus.errors import BrokerUnreachable

if TYPE_CHECKING:
    from rich.table import Table

COLUMNS: Final = ("severity", "finding", "fix")
_STYLES: Final = {Severity.SERIOUS: "bold red", Severity.WARNING: "bold yellow", Severity.NOTE: "dim"}


@click.command(short_help="Find what is misconfigured, each finding with its fix.")
@click.argument("targets", metavar="[MODULE:SERVICE…]", nargs=-1)
@common_options
def doctor(common: Common, targets: tuple[str, ...]) -> int:
    """Find what is misconfigured or going wrong, each finding with its fix. Changes nothing.

    Looked at: the broker's version, features, alarms, clock and blocked connections; queues that nobody
    consumes; dead letters, and whether they become more; whether the store answers, and a worker could open
    it; what other buses have left in the outbox and the spool. Of the services named also their topology and
    the timeouts of their handlers; without any, all queues of the broker are looked at. It takes two seconds,
    and up to five where the store is silent.

    Exit code 1 when a finding is serious, 0 otherwise, 4 when the broker cannot be reached: then only what is
    wrong with the store is told.

    \b
    Example:
      eventbus doctor services.payment.main:service services.email.main:service
    """
    use_working_directory()
    services = load_services(targets)
    settings = settings_for(common)
    bus = looking_bus(settings)
    # A command to be pasted must not show a password, and must not go to another broker.
    repeated = common.url if common.url and common.url.startswith("sqlite:") else None

    async def look(bus: Bus) -> Facts:
        looking_at_store = asyncio.create_task(look_at_store(settings))
        looking_at_others = asyncio.create_task(look_at_others(settings, bus.clock))
        try:
            async with bus:
                facts = await gather(
                    bus.transport, bus.clock, services=services, targets=targets, url=repeated
                )
        except BrokerUnreachable:
            for trouble in store_troubles(await looking_at_store):
                note(trouble)
            raise
        return replace(facts, store=await looking_at_store, of_others=await looking_at_others)

    facts = asyncio.run(look(bus))
    findings = diagnose(facts)
    if common.output == "json":
        print_json(as_json(facts, findings))
    else:
        _tell(facts, findings, at=bus.transport.url)
        if findings and common.url and not repeated:
            note("the commands need the broker's URL too: set EVENTBUS_URL, or add --url")
    return ExitCode.FAILED if any(each.severity is Severity.SERIOUS for each in findings) else ExitCode.DONE


def as_json(facts: Facts, findings: Sequence[Finding]) -> dict[str, object]:
    return {
        "broker": whole_json(facts.report),
        "findings": [
            {"severity": each.severity.value, "what": each.what, "fix": each.fix} for each in findings
        ],
    }


def as_table(findings: Sequence[Finding]) -> Table:
    from rich.text import Text

    rows = [
        (Text(each.severity.value, style=_STYLES[each.severity]), each.what, each.fix) for each in findings
    ]
    return table(COLUMNS, rows)


def _tell(facts: Facts, findings: Sequence[Finding], *, at: str) -> None:
    if findings:
        show(as_table(findings))
    report = facts.report
    looked = f"{report.product} {report.version} at {at}, {many(len(facts.queues), 'queue')}"
    note(f"{looked}: {many(len(findings), 'finding') if findings else 'nothing to complain about'}")
