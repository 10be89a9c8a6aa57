"""`eventbus demo`: hands over to the shop of the repository, which is a program of its own."""

from __future__ import annotations

import importlib.util
import os
import sys
from typing import Final, NoReturn

import click

from eventbus.cli.connection import settings_for
from eventbus.cli.exits import ExitCode, complain
from eventbus.cli.options import Common, common_options
from eventbus.cli.targets import use_working_directory

PROGRAM: Final = "services.demo"


@click.command(short_help="Run the shop of the repository on this machine.")
@click.option("--orders", metavar="N", type=click.IntRange(min=1), help="How many orders to place.")
@click.option("--port", metavar="P", type=click.IntRange(0, 65535), help="Where the order API listens.")
@click.option("--once", is_flag=True, help="Place the orders, wait for them, print the summary, and end.")
@click.option("--late-subscriber", is_flag=True, help="Let an analytics service join when they are placed.")
@common_options
def demo(
    common: Common,
    orders: int | None,
    port: int | None,
    once: bool,  # noqa: FBT001
    late_subscriber: bool,  # noqa: FBT001
) -> int:
    """Run the shop on this machine: order API, payment, email and warehouse.

    With --once it places its orders, waits until all of them are handled, prints a summary, and ends with 0
    only if every order ended as it should.

    With --late-subscriber a service joins that did not exist when the orders were placed. It reads what it
    has missed in the history, and its totals are printed beside those of the order service; they have to be
    equal.

    The shop has stores of its own: of what the environment says it gets EVENTBUS_URL and EVENTBUS_NAMESPACE.

    \b
    Examples:
      eventbus demo
      eventbus demo --once --late-subscriber
      eventbus demo --once --orders 50 --url amqp://guest:guest@localhost/
    """
    use_working_directory()
    if _is_there():
        settings = settings_for(common)
        if "url" in settings.model_fields_set:  # not as an argument: everybody can read those
            os.environ["EVENTBUS_URL"] = settings.url
        arguments = ["--output", "json"] if common.output == "json" else []
        arguments += ["--orders", str(orders)] if orders is not None else []
        arguments += ["--port", str(port)] if port is not None else []
        arguments += ["--once"] if once else []
        arguments += ["--late-subscriber"] if late_subscriber else []
        _become([sys.executable, "-m", PROGRAM, *arguments])
    complain(
        f"the demo is not part of the installed package: there is no {PROGRAM} here. "
        "Clone the repository of eventbus and call script/demo in it."
    )
    return ExitCode.FAILED


def _become(arguments: list[str]) -> NoReturn:
    """Go on as that program: signals, the terminal and the exit code are its own then."""
    os.execv(arguments[0], arguments)  # noqa: S606  no shell is what is wanted


def _is_there() -> bool:
    try:
        return importlib.util.find_spec(PROGRAM) is not None
    except ModuleNotFoundError:  # its package is missing too
        return False
