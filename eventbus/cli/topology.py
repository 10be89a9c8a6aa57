"""`eventbus topology`: the exchanges, queues and bindings that services need, and those that are there."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Sequence
from dataclasses import replace

import click

from eventbus.bus import Bus
from eventbus.cli.connection import command_bus, looking_bus, settings_for
from eventbus.cli.exits import ExitCode
from eventbus.cli.options import Common, common_options, schemas_option
from eventbus.cli.output import note, print_json, show, table
from eventbus.cli.schemas import learn, load_schemas
from eventbus.cli.targets import load_services, use_working_directory
from eventbus.cli.topology_map import draw_map
from eventbus.cli.topology_view import as_json, as_tree
from eventbus.registry import Registry
from eventbus.service import Service
from eventbus.service import topology as topology_of
from eventbus.transport import APPLY, Drift

Targets = tuple[str, ...]


@click.group(short_help="Show, make or check exchanges, queues and bindings.")
def topology() -> None:
    """Show, make or check the exchanges, queues and bindings that services need.

    \b
    Example:
      eventbus topology diff services.payment.main:service services.email.main:service
    """


@topology.command("show", short_help="Draw publishers, events, queues and handlers.")
@click.argument("targets", metavar="MODULE:SERVICE…", nargs=-1, required=True)
@common_options
@schemas_option
def show_topology(common: Common, targets: Targets, schemas: tuple[str, ...] | None) -> int:
    """Draw publishers → events → queues → handlers. Needs no broker.

    What a handler publishes is read from its return annotation.

    \b
    Example:
      eventbus topology show services.payment.main:service services.email.main:service
    """
    use_working_directory()
    settings = settings_for(common, schemas)
    services = load_services(targets)
    known = Registry()
    learn(known, load_schemas(settings.schemas))
    drawn = draw_map(settings.namespace, services, known)
    if common.output == "json":
        print_json(as_json(drawn))
    else:
        show(as_tree(drawn))
    return ExitCode.DONE


@topology.command("apply", short_help="Make what is missing.")
@click.argument("targets", metavar="MODULE:SERVICE…", nargs=-1, required=True)
@click.option(
    "--prune", is_flag=True, help="Unbind from their queues what these services do not subscribe to any more."
)
@common_options
def apply_topology(common: Common, targets: Targets, prune: bool) -> int:  # noqa: FBT001
    """Make what is missing; change nothing that is there.

    --prune unbinds from the queues of these services what they do not subscribe to: when no worker runs any
    more that was built with it. What lies in the queues stays. On RabbitMQ it takes the management API.

    \b
    Examples:
      eventbus topology apply services.payment.main:service --url amqp://admin:secret@localhost/
      eventbus topology apply services.payment.main:service --prune
    """
    use_working_directory()
    services = load_services(targets)
    bus = command_bus(settings_for(common), declare=False)
    mended, left = asyncio.run(_apply(bus, services, prune=prune))
    made = [drift.what for drift in mended if drift.kind != "unexpected"]
    unbound = [drift.what for drift in mended if drift.kind == "unexpected"]
    if common.output == "json":
        print_json(
            {"made": made} | ({"unbound": unbound} if prune else {}) | {"drift": _drifts_as_json(left)}
        )
        return ExitCode.DONE
    for what in made:
        click.echo(f"made {what}")
    for what in unbound:
        click.echo(f"unbound {what}")
    if not made:
        note(f"nothing was missing for {_named(services)}")
    if prune and not unbound:
        note(f"nothing was bound that {_named(services)} does not subscribe to")
    if _known(left):
        note("what is there and differs was left as it is: eventbus topology diff shows it")
    return ExitCode.DONE


@topology.command("diff", short_help="Compare what is needed with what is there.")
@click.argument("targets", metavar="MODULE:SERVICE…", nargs=-1, required=True)
@common_options
def diff_topology(common: Common, targets: Targets) -> int:
    """Compare what services need with what is there; exit code 1 when they differ. Changes nothing.

    What could not be compared is `unknown`, and no difference: bindings where the management API does not
    answer, and arguments where besides the user may not configure.

    \b
    Example:
      eventbus topology diff services.payment.main:service --output json
    """
    use_working_directory()
    services = load_services(targets)
    found = asyncio.run(_diff(looking_bus(settings_for(common)), services))
    apply = f"{APPLY} {shlex.join(targets)}"
    drifts = [replace(each, fix=each.fix.replace(APPLY, apply)) for each in found]
    differences = _known(drifts)
    if common.output == "json":
        print_json({"drift": _drifts_as_json(drifts)})
        return ExitCode.FAILED if differences else ExitCode.DONE
    if drifts:
        rows = [(drift.kind, drift.what, drift.found, drift.fix) for drift in drifts]
        show(table(("drift", "of", "found", "fix"), rows))
    if not differences:
        what = "what could be compared" if drifts else "everything"
        note(f"no drift: {what} is as {_named(services)} needs it")
    return ExitCode.FAILED if differences else ExitCode.DONE


async def _apply(
    bus: Bus, services: Sequence[Service], *, prune: bool
) -> tuple[list[Drift], Sequence[Drift]]:
    """What was mended, and what differs still."""
    wanted = topology_of(services)
    async with bus:
        before = await bus.transport.diff(wanted)
        await bus.transport.apply(wanted)
        if prune:
            await bus.transport.prune(wanted)
        left = await bus.transport.diff(wanted)
    return [drift for drift in before if drift not in left], left


async def _diff(bus: Bus, services: Sequence[Service]) -> Sequence[Drift]:
    async with bus:
        return await bus.transport.diff(topology_of(services))


def _known(drifts: Sequence[Drift]) -> Sequence[Drift]:
    return [drift for drift in drifts if drift.kind != "unknown"]


def _named(services: Sequence[Service]) -> str:
    return ", ".join(service.name for service in services)


def _drifts_as_json(drifts: Sequence[Drift]) -> list[dict[str, str]]:
    return [{"kind": each.kind, "what": each.what, "found": each.found, "fix": each.fix} for each in drifts]
