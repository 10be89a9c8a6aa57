"""`eventbus publish`: one event, or one for each line of a file."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import click

from eventbus.bus import Bus
from eventbus.cli.connection import command_bus, settings_for
from eventbus.cli.draft import Draft
from eventbus.cli.exits import ExitCode, complain
from eventbus.cli.lines import LinePublisher, read_lines
from eventbus.cli.options import Common, Format, common_options, schemas_option
from eventbus.cli.output import note, print_json, print_line
from eventbus.cli.schemas import load_schemas
from eventbus.cli.targets import use_working_directory
from eventbus.codec import Limits
from eventbus.errors import InvalidEvent, SendFailed, UnregisteredEvent
from eventbus.options import PublishOptions
from eventbus.publisher import Receipt
from eventbus.strict_json import BadJson

_PARAMETERS: Final = {
    "event_type": "TYPE",
    "event_id": "--id",
    "version": "--version",
    "key": "--key",
    "delay": "--delay",
}
"""Members of an envelope that are given as parameters of their own."""


@click.command(short_help="Publish one event, or one for each line.")
@click.argument("event_type", metavar="TYPE")
@click.argument("data", metavar="[JSON | @FILE | -]", required=False)
@click.option(
    "--id", "event_id", metavar="ID", help="Instead of a new event_id; the same id is the same event."
)
@click.option(
    "--version", metavar="MAJOR.MINOR", help="Which version the data is.  [default: the newest known]"
)
@click.option("--key", metavar="KEY", help="What keeps its order together: an order id, say.")
@click.option(
    "--delay",
    metavar="SECONDS",
    type=click.FloatRange(0, Limits().delay),
    help="Hold it back for so long, at the broker.",
)
@click.option("--lines", is_flag=True, help="One event for each line of @FILE or - (the default).")
@common_options
@schemas_option
def publish(  # noqa: PLR0913, PLR0917  one for each option
    common: Common,
    event_type: str,
    data: str | None,
    event_id: str | None,
    version: str | None,
    key: str | None,
    delay: float | None,
    lines: bool,  # noqa: FBT001
    schemas: tuple[str, ...] | None,
) -> int:
    """Publish one event, and print its event_id once the broker has it.

    The data is a JSON object: given here, in a file (@FILE), or on stdin (-); without one it is {}. It is
    checked by the class that describes TYPE before anything is sent. Data of a type that no class describes
    is sent as it is, and data that is just that of an older version as that version, which is said on stderr.
    The exchange and the history are declared first, unless EVENTBUS_DECLARE=off.

    With --lines each line is one event. They are sent while the rest is being read; a line that cannot be
    published is told on stderr by its number and left out, and the exit code is 3 (1 where nothing was
    published at all).

    \b
    Examples:
      eventbus publish order.created '{"order_id": 1, "user_id": 2, "total": "3.00"}' --version 1.0
      eventbus publish email.requested @mails.jsonl --lines
    """
    use_working_directory()
    settings = settings_for(common, schemas)
    modules = load_schemas(settings.schemas)
    # Not closed by --schemas: here a type without a class is doubtful, and no error.
    bus = command_bus(settings.model_copy(update={"schemas": ()}), schemas=modules)
    draft = Draft(event_type, version, key)
    options: PublishOptions = {} if delay is None else {"delay": delay}
    if lines:
        source = _file_of_lines(data, event_id)
        return asyncio.run(_publish_lines(bus, draft, source, options, common.output))
    with _telling_parameters():
        asyncio.run(_publish_one(bus, draft, _read(data), event_id, options, common.output))
    return ExitCode.DONE


async def _publish_one(
    bus: Bus, draft: Draft, data: bytes, event_id: str | None, options: PublishOptions, output: Format
) -> None:
    try:
        envelope = draft.envelope(bus, data, event_id)
    except BadJson as error:
        raise click.UsageError(f"invalid JSON: {error}.") from None
    if (doubt := draft.doubt(bus, envelope)) is not None:
        complain(doubt)
    async with bus:
        try:
            receipt = await bus.publish(envelope, **options)
        except SendFailed as error:
            if error.sent is None:
                note(f"it may have arrived: to publish it again, add --id {envelope.event_id}")
            raise
        _print(receipt, output)


async def _publish_lines(
    bus: Bus, draft: Draft, source: str, options: PublishOptions, output: Format
) -> ExitCode:
    with _telling_parameters():
        draft.check(bus)
    longest = 2 * bus.settings.max_body_bytes
    with _opened(source) as file:
        async with bus:
            publisher = LinePublisher(bus, draft, options, lambda receipt: _print(receipt, output))
            code = await publisher.run(read_lines(file, longest))
    refused = f", {publisher.refused} not" if publisher.refused else ""
    note(f"{publisher.published} published{refused}")
    return code


def _print(receipt: Receipt, output: Format) -> None:
    if output == "json":
        print_json({"event_id": receipt.event_id, "state": receipt.state})
    else:
        print_line(receipt.event_id)


def _read(data: str | None) -> bytes:
    if data is None:
        return b"{}"
    if data != "-" and not data.startswith("@"):
        return os.fsencode(data)
    with _opened(data) as file, open(file, "rb", closefd=False) as stream:
        return stream.read()


def _file_of_lines(data: str | None, event_id: str | None) -> str:
    if event_id is not None:
        raise click.UsageError("--id names one event, --lines publishes many: leave one of them out.")
    if data is None or data == "-" or data.startswith("@"):
        return data or "-"
    raise click.UsageError("--lines reads @FILE or - (stdin), not JSON from the command line.")


@contextmanager
def _opened(source: str) -> Generator[int]:
    """The file descriptor of `-` or `@FILE`."""
    if source == "-":
        if sys.stdin is None:  # pyright: ignore[reportUnnecessaryComparison]  closed by whoever started us
            raise click.UsageError("stdin is closed: give the JSON on the command line, or as @FILE.")
        yield sys.stdin.fileno()
        return
    path = Path(source[1:])
    try:
        stream = path.open("rb", buffering=0)
    except OSError as error:
        raise click.UsageError(f"cannot read {path}: {error.strerror}.") from None
    with stream:
        yield stream.fileno()


@contextmanager
def _telling_parameters() -> Generator[None]:
    """A rule that is broken by a parameter is a wrong use of the command; one broken by the data is not."""
    try:
        yield
    except InvalidEvent as error:
        parameter = _PARAMETERS.get(error.field)
        if parameter is None or isinstance(error, UnregisteredEvent):
            raise
        raise click.BadParameter(f"{error.problem}.", param_hint=parameter) from None
