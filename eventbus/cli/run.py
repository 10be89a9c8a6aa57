"""`eventbus run`: services in this process, until somebody asks them to stop."""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from typing import Final

import click

from eventbus.bus import Bus
from eventbus.cli.connection import make_bus, settings_for
from eventbus.cli.exits import ExitCode
from eventbus.cli.options import Common, common_options, schemas_option
from eventbus.cli.schemas import load_schemas
from eventbus.cli.targets import load_services, use_working_directory
from eventbus.errors import BrokerUnreachable
from eventbus.logs import configure, get_logger
from eventbus.service import Service

FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 30.0
"""Seconds between two tries to reach the broker; doubled from the first to the longest."""

MakeBus = Callable[[], Bus]


@click.command(short_help="Run services until SIGTERM.")
@click.argument("targets", metavar="MODULE:SERVICE…", nargs=-1, required=True)
@common_options
@schemas_option
def run(common: Common, targets: tuple[str, ...], schemas: tuple[str, ...] | None) -> int:
    """Run services until SIGTERM or Ctrl-C, then let their handlers finish (EVENTBUS_SHUTDOWN_GRACE seconds).

    SERVICE is a Service, or a list of them, in MODULE, which may lie in the working directory; several
    services share this process. Logs go to stderr (--output json, or EVENTBUS_LOG_FORMAT=json: one JSON
    object a line); `worker.ready` says that everything is consuming. While the broker is away it is tried
    again and again.

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

    def make() -> Bus:
        return make_bus(settings, source, schemas=modules)

    make()  # what cannot work at all is seen here, before anything is tried again
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(serve(make, services))
    return ExitCode.DONE


async def serve(make: MakeBus, services: list[Service]) -> None:
    """Until the first SIGTERM or SIGINT. A second one hurries, a third ends the process at once."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    signals = (signal.SIGTERM, signal.SIGINT)

    def ask_to_stop() -> None:
        if not stop.is_set():
            stop.set()
            return
        if starting.done() and not starting.cancelled():
            starting.result().hurry()
        for each in signals:
            loop.remove_signal_handler(each)

    async with AsyncExitStack() as stack:
        starting = asyncio.create_task(_start(make, services, stack))
        for each in signals:
            loop.add_signal_handler(each, ask_to_stop)
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            starting.cancel()
            await asyncio.wait({starting})
            return
        starting.result()
        await stopping


async def _start(make: MakeBus, services: list[Service], running: AsyncExitStack) -> Bus:
    """The bus on which the services are consuming; it is left to `running` to stop them."""
    log = get_logger("eventbus.run")
    pauses = _pauses()
    while True:
        pause = next(pauses)
        async with AsyncExitStack() as attempt:
            try:
                bus = await attempt.enter_async_context(make())
                await attempt.enter_async_context(bus.running(*services))
            except BrokerUnreachable as error:
                log.warning("broker.unreachable", problem=error.problem, retrying_in=round(pause, 1))
            else:
                running.push_async_exit(attempt.pop_all())
                return bus
        await asyncio.sleep(pause)


def _pauses() -> Iterator[float]:
    """Lengthened by up to a quarter, so that many workers do not come back at the same moment."""
    pause = FIRST_PAUSE
    while True:
        yield pause * (1 + 0.25 * random.random())
        pause = min(LONGEST_PAUSE, pause * 2)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop's where it is installed, and the standard one elsewhere."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop
