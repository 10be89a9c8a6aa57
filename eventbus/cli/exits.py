"""How a command ends: the exit codes, and the one line that says what went wrong."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

import click

from eventbus.errors import BrokerUnreachable, ConfigurationError, EventBusError, shorten

_LONGEST: Final = 2000
"""Characters of an error line: whole for every message of ours, bounded for those of others."""


class ExitCode(IntEnum):
    DONE = 0
    FAILED = 1
    USAGE = 2
    PARTLY = 3
    """Some of it is done, and some is not."""
    UNREACHABLE = 4
    INTERRUPTED = 130


def exit_code(error: EventBusError) -> ExitCode:
    match error:
        case BrokerUnreachable():
            return ExitCode.UNREACHABLE
        case ConfigurationError():
            return ExitCode.USAGE
        case _:
            return ExitCode.FAILED


def complain(message: object) -> None:
    """One line on stderr, `eventbus: …`, whatever the message holds."""
    click.echo(f"eventbus: {shorten(' '.join(str(message).split()), _LONGEST)}", err=True)


def told(error: EventBusError) -> str:
    """The error in words, with what to do next."""
    if isinstance(error, BrokerUnreachable) and not error.fates:
        problem = error.problem.rstrip(".")
        if "ACCESS_REFUSED" in problem:
            return f"{problem}. Are the user and the password of the URL (--url or EVENTBUS_URL) right?"
        return f"{problem}. Is it running, and is the URL (--url or EVENTBUS_URL) the right one?"
    return str(error)
