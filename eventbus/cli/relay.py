"""`eventbus relay`: sends on what the outbox of a store keeps."""

from __future__ import annotations

import asyncio
import random
from contextlib import AsyncExitStack

import click

from eventbus.cli.connection import SOURCE, only_visit, settings_for
from eventbus.cli.exits import ExitCode
from eventbus.cli.options import Common, Format, common_options
from eventbus.cli.others import of_others
from eventbus.cli.output import note, print_json, print_line
from eventbus.clock import SystemClock
from eventbus.connecting import connect
from eventbus.errors import SendFailed, TopologyError
from eventbus.keeping import make_store, outbox_of, relay_of
from eventbus.logs import configure, get_logger
from eventbus.opening import FIRST_PAUSE, LONGEST_PAUSE, Opening
from eventbus.settings import Settings
from eventbus.stopping import on_signals
from eventbus.store import Store, StoreUnavailable
from eventbus.transport import Topology, Transport
from eventbus.waiting import done_before
from eventbus.whose import store_url


@click.command(short_help="Send on what the outbox of a store keeps.")
@click.option("--once", is_flag=True, help="Send what waits now, say how much that was, and end.")
@click.option(
    "--of",
    metavar="BUS",
    help="Send what this bus has left instead, one that is gone or has another name now, to the broker of "
    "--url. Its name is what --once tells.",
)
@common_options
def relay(common: Common, once: bool, of: str | None) -> int:  # noqa: FBT001
    """Send events that were published in a transaction to the broker, until SIGTERM or Ctrl-C.

    A bus does this itself unless EVENTBUS_RELAY=off. Several relays may run at once: what one that is killed
    has left, another sends. The order of a key is kept.
    An event goes to the bus that it was put there for: a namespace and virtual host of RabbitMQ, or a file.
    What is of another bus in the same store stays, unless --of names that one.
    While the broker or the store is away, events wait; logs go to stderr and say so once. The exchange and
    the history are declared first, unless EVENTBUS_DECLARE=off.

    With --once the exit code is 0 when nothing of this bus is left, 3 when something is, be it refused or
    because the broker has gone or fallen silent meanwhile, and 4 when there is no broker to begin with.

    \b
    Example:
      eventbus relay --store sqlite:///shop.db --url amqp://guest:guest@localhost/
    """
    settings = settings_for(common)
    configure("json" if common.output == "json" else settings.log_format, level=settings.log_level)
    transport, store = connect(settings, SOURCE, SystemClock()), make_store(settings, of=of)
    if once:
        only_visit(transport)
        return asyncio.run(_drain(store, transport, settings, common.output))
    asyncio.run(_serve(store, transport, settings))
    return ExitCode.DONE


async def _drain(store: Store, transport: Transport, settings: Settings, output: Format) -> ExitCode:
    async with AsyncExitStack() as stack:
        await store.open()
        stack.push_async_callback(store.close)
        running = relay_of(store, transport)
        await transport.open()
        stack.push_async_callback(transport.close)
        await _declare(transport, settings)
        problem = "what is left was refused by the broker, or is with another relay; see the log"
        try:
            await running.drain()
        except SendFailed as error:
            problem = f"{error.problem}: what is left waits for the next relay"
        left = (await outbox_of(store).backlog()).events
        others = of_others(await outbox_of(store).backlogs_of_others(), store_url(settings))
    if output == "json":
        by_bus = {each.bus: each.backlog.events for each in others}
        print_json({"sent": running.sent, "left": left, "of_others": by_bus})
    else:
        print_line(f"sent {running.sent}, left {left}")
    if left:
        note(problem)
    for each in others:
        note(f"{each}: {each.command}")
    return ExitCode.PARTLY if left else ExitCode.DONE


async def _serve(store: Store, transport: Transport, settings: Settings) -> None:
    """A broker and a store that are away when it starts are waited for, however far it has come."""
    stop = asyncio.Event()
    with on_signals(stop, lambda: None):
        async with AsyncExitStack() as stack:
            if not await done_before(stop, _insist_on(store)):
                return
            stack.push_async_callback(store.close)
            running = relay_of(store, transport)
            opening = Opening(transport.url)
            if not await done_before(stop, opening.insist(transport.open)):
                return
            stack.push_async_callback(transport.close)
            if not await done_before(stop, opening.insist(lambda: _declare(transport, settings))):
                return
            await running.start()
            get_logger("eventbus.relay").info("relay.ready", store=store.url, broker=transport.url)
            await stop.wait()
            await running.stop(within=settings.shutdown_grace)


async def _insist_on(store: Store) -> None:
    pause = FIRST_PAUSE
    while True:
        try:
            await store.open()
        except StoreUnavailable as error:
            wait = pause * (1 + 0.25 * random.random())
            get_logger("eventbus.relay").warning(
                "store.unavailable", problem=error.problem, retrying_in=round(wait, 1)
            )
            await asyncio.sleep(wait)
            pause = min(LONGEST_PAUSE, 2 * pause)
        else:
            return


async def _declare(transport: Transport, settings: Settings) -> None:
    """Where it may: elsewhere a deploy step has done it, or the first event that is refused tells."""
    if not settings.declare:
        return
    try:
        await transport.apply(Topology())
    except TopologyError as error:
        get_logger("eventbus.relay").warning("relay.declared_nothing", problem=str(error))
