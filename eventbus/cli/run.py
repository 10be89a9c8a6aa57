"""`eventbus run`: services in this process, until somebody asks them to stop."""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import Callable
from typing import Final

import click

from eventbus.bus import Bus
from eventbus.cli.connection import make_bus, settings_for
from eventbus.cli.exits import ExitCode
from eventbus.cli.options import Common, common_options, schemas_option
from eventbus.cli.schemas import load_schemas
from eventbus.cli.targets import load_services, use_working_directory
from eventbus.logs import configure
from eventbus.service import Service


@click.command(short_help="Run services until SIGTERM.")
@click.argument("targets", metavar="MODULE:SERVICE…", nargs=-1, required=True)
@common_options
@schemas_option
def run(common: Common, targets: tuple[str, ...], schemas: tuple[str, ...] | None) -> int:
    """Run services until SIGTERM or Ctrl-C, then let their handlers finish (EVENTBUS_SHUTDOWN_GRACE seconds).

    SERVICE is a Service, or a list of them, in MODULE, which may lie in the working directory; several
    services share this process. Logs go to stderr (--output json, or EVENTBUS_LOG_FORMAT=json: one JSON
    object a line); `worker.ready` says that everything is consuming. While the broker is away it is tried
    again and again. Queues that are missing are declared, unless EVENTBUS_DECLARE=off: then a deploy step
    does that, `eventbus topology apply`.

    \b
    Example:
      eventbus run services.payment.main:service --url amqp://guest:guest@localhost/
    """
    use_working_directory()
    settings = settings_for(common, schemas)
    configure("json" if common.output == "json" else settings.log_format, level=settings.log_level)
    services = load_services(targets)
    modules = load_schemas(settings.schemas)
    source = ",".join(service.name for service in services)

    bus = make_bus(settings, source, schemas=modules)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(serve(bus, services))
    return ExitCode.DONE


async def serve(bus: Bus, services: list[Service]) -> None:
    """Until the first SIGTERM or SIGINT. A second one hurries, a third ends the process at once."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    signals = (signal.SIGTERM, signal.SIGINT)

    def ask_to_stop() -> None:
        if not stop.is_set():
            stop.set()
            return
        bus.hurry()
        for each in signals:
            loop.remove_signal_handler(each)

    for each in signals:
        loop.add_signal_handler(each, ask_to_stop)
    async with bus.opening(*services):
        _spare_the_collector()
        await stop.wait()


def _spare_the_collector() -> None:
    """To look again and again through what stays, modules, models, events in hand, is for nothing.

    In a worker under load it took a tenth of the time. A service that sets a threshold itself keeps it.
    """
    gc.collect()
    gc.freeze()
    if gc.get_threshold() == _USUAL_THRESHOLD:
        gc.set_threshold(_IN_HAND, *_USUAL_THRESHOLD[1:])


_USUAL_THRESHOLD: Final = gc.get_threshold()
_IN_HAND: Final = 10_000
"""Objects that a prefetch of events in hand may be made of; as much garbage in cycles may wait, a few MB."""


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop's where it is installed, and the standard one elsewhere."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop
