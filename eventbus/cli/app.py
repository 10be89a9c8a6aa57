"""The command `eventbus`: finds the verb, runs it, and turns every end into an exit code."""

from __future__ import annotations

import importlib
import io
import sys
from collections.abc import Sequence
from typing import Final, cast

import click

from eventbus import __version__
from eventbus.cli.exits import ExitCode, complain, exit_code, told
from eventbus.errors import EventBusError

VERBS: Final = (
    "demo",
    "run",
    "publish",
    "relay",
    "archive",
    "tail",
    "topology",
    "status",
    "dead",
    "replay",
    "doctor",
)
"""Each is an attribute of the module of its name, in the order of the help."""


class Verbs(click.Group):
    """Imports the module of a verb when that verb is asked for, so that no verb pays for the others."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  click's signature
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in VERBS:
            return None
        found = getattr(importlib.import_module(f"eventbus.cli.{cmd_name}"), cmd_name)
        return found if isinstance(found, click.Command) else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.NoSuchCommand as error:  # click suggests only verbs that are imported already
            raise click.NoSuchCommand(error.command_name, possibilities=VERBS, ctx=ctx) from None


@click.group(cls=Verbs)
@click.version_option(__version__, prog_name="eventbus", message="%(prog)s %(version)s")
def app() -> None:
    """Publish domain events, run the services that handle them, and see what becomes of them.

    Every verb takes --url (or EVENTBUS_URL; sqlite:///eventbus.db where neither is given) and
    --output table|json. Data goes to stdout, logs and progress to stderr.

    Exit codes: 0 done, 1 failed, 2 usage, 3 done in part, 4 broker unreachable, 130 interrupted.

    \b
    Example:
      eventbus run services.payment.main:service
    """


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line (default: this process's) and return its exit code."""
    _never_fail_to_write()
    try:
        code = app.main(
            None if arguments is None else list(arguments), prog_name="eventbus", standalone_mode=False
        )
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return ExitCode.USAGE
    except click.UsageError as error:
        complain(_with_help(error))
        return ExitCode.USAGE
    except click.ClickException as error:
        complain(error.format_message())
        return ExitCode.FAILED
    except click.Abort:
        return ExitCode.INTERRUPTED
    except EventBusError as error:
        complain(told(error))
        return exit_code(error)
    return code if isinstance(code, int) else ExitCode.DONE


def _with_help(error: click.UsageError) -> str:
    message = error.format_message()
    return f"{message} (see {error.ctx.command_path} --help)" if error.ctx is not None else message


def _never_fail_to_write() -> None:
    """A terminal that knows few characters gets the others escaped; no command dies of an arrow."""
    stdout: object = sys.stdout
    if isinstance(stdout, io.TextIOWrapper):
        cast("io.TextIOWrapper", stdout).reconfigure(errors="backslashreplace")
