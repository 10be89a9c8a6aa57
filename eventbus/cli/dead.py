"""`eventbus dead`: what was given up, and what is to become of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import click

from eventbus.cli.dead_acting import Wanted, act, look, opened, show_which, tell_unattended
from eventbus.cli.dead_edit import Editing, edit_and_redrive
from eventbus.cli.dead_options import acting_options, audit_option, must_be_able_to_ask, selection_options
from eventbus.cli.dead_view import Distribution, group_as_json, groups_table, whole, write
from eventbus.cli.exits import ExitCode, complain
from eventbus.cli.masking import secrets_for, secrets_option
from eventbus.cli.options import Common, common_options, schemas_option
from eventbus.cli.output import note, print_json, show
from eventbus.counted import many
from eventbus.dead_letters import (
    EVERYTHING,
    NOTHING_SECRET,
    AuditLog,
    DeadLetters,
    Groups,
    Moved,
    Selection,
    as_json,
)
from eventbus.secret import Secrets
from eventbus.transport import DeadLetterEntry

Progress = Callable[[Moved], None]


@click.group(short_help="List, inspect, redrive or discard dead letters.")
def dead() -> None:
    """List, inspect, redrive or discard what a subscription has given up.

    SUBSCRIPTION is the name of its queue. Looking changes nothing; whatever moves a dead letter loses none.

    \b
    Example:
      eventbus dead list payment.charge_order --group
    """


@dead.command("list", short_help="Show those there are, or their groups.")
@click.argument("subscription")
@click.option("--group", is_flag=True, help="By event type, reason and kind of error, with counts.")
@click.option("--limit", metavar="N", type=click.IntRange(min=1), help="At most so many, the oldest first.")
@selection_options
@common_options
@secrets_option
def list_dead(
    common: Common,
    subscription: str,
    group: bool,  # noqa: FBT001
    limit: int | None,
    selection: Selection,
    secrets: Secrets,
) -> int:
    """Show the dead letters of a subscription, the oldest first.

    \b
    Examples:
      eventbus dead list payment.charge_order --error '*timeout*' --newer-than 2h
      eventbus dead list payment.charge_order --group --output json
    """
    wanted = Wanted(common, subscription, selection, limit, secrets)
    if group:
        return _list_groups(wanted)
    if not show_which(wanted):
        note(f"no dead letters of {subscription}" + ("" if selection == EVERYTHING else " like that"))
    return ExitCode.DONE


@dead.command("export", short_help="Print them whole, as JSON lines.")
@click.argument("subscription")
@click.option("--limit", metavar="N", type=click.IntRange(min=1), help="At most so many, the oldest first.")
@click.option("--reveal", is_flag=True, help="With the values of secret fields.")
@selection_options
@common_options
@secrets_option
def export_dead(
    common: Common,
    subscription: str,
    limit: int | None,
    reveal: bool,  # noqa: FBT001
    selection: Selection,
    secrets: Secrets,
) -> int:
    """Print the dead letters of a subscription with their payload, one JSON object a line.

    What their classes mark as Secret is masked, so that such an export cannot be published again; with
    --reveal it is whole.

    \b
    Example:
      eventbus dead export payment.charge_order > dead.jsonl
    """
    wanted = Wanted(common, subscription, selection, limit)
    hidden = NOTHING_SECRET if reveal else secrets
    count = asyncio.run(
        look(wanted, lambda entry: print_json(as_json(entry, subscription, hidden)), quiet=True)
    )
    note(f"{count} exported")
    return ExitCode.DONE


@dead.command("show", short_help="Show one of them whole.")
@click.argument("id")
@click.argument("subscription")
@common_options
@secrets_option
def show_dead(common: Common, id: str, subscription: str, secrets: Secrets) -> int:
    """Show one dead letter: why and when it was given up, its headers, its payload.

    \b
    Example:
      eventbus dead show evt_0190f6d1c2b37c3e8f2a payment.charge_order
    """
    entry = asyncio.run(_find(common, id, subscription))
    if entry is None:
        complain(f"{subscription} has no dead letter {id} here")
        return ExitCode.FAILED
    if common.output == "json":
        print_json(as_json(entry, subscription, secrets))
    else:
        for line in whole(entry, secrets):
            write(line)
    return ExitCode.DONE


@dead.command("redrive", short_help="Send them to their subscription again.")
@click.argument("subscription")
@click.option("--edit", is_flag=True, help="Change the data of the one of --id in $EDITOR first.")
@acting_options
@audit_option
@selection_options
@schemas_option
@common_options
def redrive_dead(  # noqa: PLR0913, PLR0917  one for each option
    common: Common,
    subscription: str,
    edit: bool,  # noqa: FBT001
    limit: int | None,
    rate: float | None,
    dry_run: bool,  # noqa: FBT001
    yes: bool,  # noqa: FBT001
    audit_log: str,
    selection: Selection,
    schemas: tuple[str, ...] | None,
) -> int:
    """Send dead letters to their own subscription's queue again, and to no other: the same event, attempt 1.

    Each copy is confirmed before its dead letter is removed. With --edit, the data of one is opened in
    $EDITOR, checked by its class, and sent as a new event that names the old one as its cause.

    \b
    Examples:
      eventbus dead redrive payment.charge_order --limit 5
      eventbus dead redrive payment.charge_order --error '*timeout*' --rate 500 --yes
      eventbus dead redrive payment.charge_order --edit --id evt_0190f6d1c2b37c3e8f2a
    """
    must_be_able_to_ask(yes=yes, dry_run=dry_run)
    secrets = secrets_for(common, schemas)
    wanted = Wanted(common, subscription, selection, limit, secrets)
    if edit:
        only = _only_id(selection)
        audit = AuditLog.at(Path(audit_log), secrets=secrets)
        return edit_and_redrive(Editing(common, subscription, only, schemas, audit, yes, dry_run))
    if dry_run:
        return _would(wanted, "redrive")

    async def carry(letters: DeadLetters, progress: Progress) -> Moved:
        return await letters.redrive(selection, limit=limit, rate=rate, progress=progress)

    return act(wanted, "redrive", "redriven", carry, yes=yes, tell=tell_unattended)


@dead.command("discard", short_help="Remove them for good.")
@click.argument("subscription")
@click.option("--reason", metavar="TEXT", required=True, help="Why; it is written into the audit log.")
@acting_options
@audit_option
@selection_options
@common_options
@secrets_option
def discard_dead(  # noqa: PLR0913, PLR0917  one for each option
    common: Common,
    subscription: str,
    reason: str,
    limit: int | None,
    rate: float | None,
    dry_run: bool,  # noqa: FBT001
    yes: bool,  # noqa: FBT001
    audit_log: str,
    selection: Selection,
    secrets: Secrets,
) -> int:
    """Remove dead letters for good, each after a line in the audit log. `dead export` keeps them elsewhere.

    \b
    Example:
      eventbus dead discard payment.charge_order --error '*no such card*' --reason 'test cards, ticket 4711'
    """
    must_be_able_to_ask(yes=yes, dry_run=dry_run)
    if not reason.strip():
        raise click.BadParameter("say why, in a few words.", param_hint="--reason")
    wanted = Wanted(common, subscription, selection, limit, secrets)
    if dry_run:
        return _would(wanted, "discard")
    audit = AuditLog.at(Path(audit_log), secrets=secrets)

    async def carry(letters: DeadLetters, progress: Progress) -> Moved:
        return await letters.discard(
            selection, why=reason, audit=audit, limit=limit, rate=rate, progress=progress
        )

    return act(wanted, "discard", "discarded", carry, yes=yes)


@dead.command("stats", short_help="Show how many, how old, and why.")
@click.argument("subscriptions", metavar="SUBSCRIPTION…", nargs=-1, required=True)
@common_options
@secrets_option
def dead_stats(common: Common, subscriptions: tuple[str, ...], secrets: Secrets) -> int:
    """Show how many dead letters there are, how old they are, for which reasons and with which errors.

    \b
    Example:
      eventbus dead stats payment.charge_order email.send_confirmation
    """
    found: list[Distribution] = []
    for subscription in subscriptions:
        distribution = Distribution(subscription, groups=Groups(secrets))
        asyncio.run(look(Wanted(common, subscription, EVERYTHING), distribution.add))
        found.append(distribution)
    if common.output == "json":
        now = datetime.now(UTC)
        print_json({"subscriptions": [each.as_json(now) for each in found]})
        return ExitCode.DONE
    for each in found:
        for line in each.lines():
            write(line)
    return ExitCode.DONE


def _list_groups(wanted: Wanted) -> ExitCode:
    groups = Groups(wanted.secrets)
    count = asyncio.run(look(wanted, groups.add))
    largest_first = groups.largest_first()
    if wanted.common.output == "json":
        listed = [group_as_json(group) for group in largest_first]
        print_json({"subscription": wanted.subscription, "groups": listed})
    elif largest_first:
        show(groups_table(largest_first))
    note(f"{many(count, 'dead letter')} of {wanted.subscription} in {many(len(groups), 'group')}")
    return ExitCode.DONE


def _would(wanted: Wanted, doing: str) -> ExitCode:
    count = show_which(wanted)
    note(f"would {doing} {count} of the dead letters of {wanted.subscription}; nothing was changed")
    return ExitCode.DONE


def _only_id(selection: Selection) -> str:
    if len(selection.ids) != 1:
        raise click.UsageError("--edit changes one dead letter: name it with one --id.")
    return next(iter(selection.ids))


async def _find(common: Common, id: str, subscription: str) -> DeadLetterEntry | None:
    async with opened(common, subscription) as letters:
        return await letters.find(id)
