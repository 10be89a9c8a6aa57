"""`eventbus dead redrive --edit`: the data of one dead letter in an editor, and what comes of it."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass

import click

from eventbus.bus import Bus
from eventbus.cli.connection import command_bus, settings_for
from eventbus.cli.dead_acting import opened, tell_unattended, unsure
from eventbus.cli.dead_options import ask
from eventbus.cli.exits import ExitCode, complain, exit_code, told
from eventbus.cli.options import Common
from eventbus.cli.output import note, print_json, print_line
from eventbus.cli.schemas import load_schemas
from eventbus.codec import Codec, Limits
from eventbus.dead_letters import AuditLog, Correction, Moved, correct, data_of
from eventbus.errors import InvalidEvent
from eventbus.secret import Secrets
from eventbus.transport import DeadLetterEntry

_WHY = "edited"


@dataclass(frozen=True, slots=True)
class Editing:
    """What is to be edited, and how."""

    common: Common
    subscription: str
    id: str
    schemas: tuple[str, ...] | None
    audit_log: AuditLog
    yes: bool
    dry_run: bool


def edit_and_redrive(editing: Editing) -> ExitCode:
    """No connection is open while the editor is."""
    bus = _knowing_bus(editing)
    entry = asyncio.run(_find(editing))
    if entry is None:
        complain(f"{editing.subscription} has no dead letter {editing.id} here")
        return ExitCode.FAILED
    correction = _edit(editing, entry, bus)
    if correction is None:
        note("nothing was changed")
        return ExitCode.DONE
    for line in correction.difference.splitlines():
        print_line(line)
    if not correction.is_checked:
        complain(f"no class describes {entry.message.routing_key}: the data is not checked")
    if editing.dry_run:
        return ExitCode.DONE
    if not editing.yes:
        ask(f"send this to {editing.subscription} instead of {editing.id}?")
    return _report(editing, correction, asyncio.run(_replace(editing, correction)))


def _knowing_bus(editing: Editing) -> Bus:
    """Never opened: it knows the event classes."""
    settings = settings_for(editing.common, editing.schemas)
    modules = load_schemas(settings.schemas)
    return command_bus(settings.model_copy(update={"schemas": ()}), schemas=modules, declare=False)


def _edit(editing: Editing, entry: DeadLetterEntry, bus: Bus) -> Correction | None:
    """None where the data is as it was, or was not saved."""
    codec = Codec(Limits(body=bus.settings.max_body_bytes))
    before = text = data_of(entry, Secrets(bus.registry))
    while True:
        saved = click.edit(text, extension=".json", require_save=True)
        if saved is None or saved.strip() == before.strip():
            return None
        try:
            return correct(entry, saved, bus.registry, codec, editing.subscription)
        except InvalidEvent as error:
            if not sys.stdin.isatty() or editing.yes:
                raise
            complain(told(error))
            ask("edit it again?")
            text = saved


async def _find(editing: Editing) -> DeadLetterEntry | None:
    async with opened(editing.common, editing.subscription) as letters:
        return await letters.find(editing.id)


async def _replace(editing: Editing, correction: Correction) -> Moved:
    async with opened(editing.common, editing.subscription) as letters:
        return await letters.replace(correction, why=_WHY, audit=editing.audit_log)


def _report(editing: Editing, correction: Correction, moved: Moved) -> ExitCode:
    tell_unattended(editing.subscription, moved)
    if moved.done or moved.unsure:
        if editing.common.output == "json":
            print_json({"event_id": correction.event_id, "causation_id": editing.id})
        else:
            print_line(correction.event_id)
        if not moved.unsure:
            return ExitCode.DONE
        complain(unsure(moved))
        return ExitCode.PARTLY
    for id, error in moved.failures:
        complain(f"{id} stays: {told(error)}")
    if not moved.failures:
        complain(f"{editing.id} is not there any more, or others hold it: nothing was sent")
    return ExitCode.FAILED if moved.stopped is None else exit_code(moved.stopped)
