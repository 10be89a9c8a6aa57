"""python -m services.demo [--url URL] [--orders N] [--port P] [--once | --serve] [--late-subscriber]
                        [--output table|json]

Starts the whole shop on this machine, sends orders through it, shows them on their way, and checks how each
of them ended. With --once it stops then, and exits with 0 only if every order ended as it should; else it
goes on serving until it is interrupted. With --late-subscriber an analytics service joins when the orders are
placed, reads what it has missed in the history, and has to come to the totals that the order service has.

It has stores of its own: of the EVENTBUS_… that are set, it takes EVENTBUS_URL and EVENTBUS_NAMESPACE only.

Exit codes: 0 done; 1 failed; 2 usage; 4 broker unreachable; 130 interrupted.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shlex
import signal
import socket
import sys
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar
from urllib.parse import quote

import httpx2
from rich.markup import escape

from eventbus import Bus
from eventbus.errors import BrokerUnreachable, ConfigurationError, EventBusError
from eventbus.settings import Settings
from services.demo.audit import complaints
from services.demo.customers import Customers, OrderRefused, Snapshot
from services.demo.late import Comparison, compare
from services.demo.launcher import Launcher, PartFailed, free_ports
from services.demo.plan import plan
from services.demo.view import Output, Report, View
from services.shop import ORDINARY, Ports, Shop

if TYPE_CHECKING:
    from collections.abc import Coroutine

T = TypeVar("T")

USUAL_PORT: Final = 8000
MOST_ORDERS: Final = 1000
PATIENCE: Final = 60.0
"""Seconds that the orders may take to end, beside what their number takes."""


@dataclass(frozen=True, slots=True)
class Options:
    url: str | None
    orders: int
    port: int | None
    once: bool
    late_subscriber: bool
    output: Output


class Usage(Exception):
    """An option cannot be as it is; the message says which and how it can."""


def main() -> int:
    try:
        return asyncio.run(_interruptible(_options()))
    except Usage as error:
        print(f"demo: {error}", file=sys.stderr)  # noqa: T201  for whoever started it
        return 2


async def _interruptible(options: Options) -> int:
    """130 when a signal ends it before it is done."""
    task = asyncio.ensure_future(_Demo(options, View(options.output)).run())
    for each in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(each, task.cancel)
    try:
        return await task
    except asyncio.CancelledError:
        return 130


@dataclass(frozen=True, slots=True)
class _Demo:
    options: Options
    view: View

    async def run(self) -> int:
        async with Launcher.open() as launcher:
            try:
                shop = self._shop(launcher.directory)
                bus = Bus(source="demo", settings=Settings(url=shop.url, namespace=shop.namespace))
                broker = _broker(bus.transport.url)
                self.view.say(f"[bold]broker[/] {escape(broker)}")
                async with bus:
                    pass  # what is wrong with the broker is better told once than by every part of the shop
                report = await self._flow(shop, launcher, broker)
                self.view.report(report)
                if self.options.once:
                    return 1 if report.complaints else 0
                return await self._serve(shop, launcher)
            except BrokerUnreachable as error:
                self.view.say(f"[red]✗[/] {escape(str(error))}")
                return 4
            except ConfigurationError as error:
                self.view.say(f"[red]✗[/] {escape(str(error))}")
                return 2
            except (EventBusError, PartFailed, OrderRefused, httpx2.HTTPError) as error:
                self.view.say(f"[red]✗[/] {escape(str(error) or repr(error))}")
                return 1

    def _shop(self, directory: Path) -> Shop:
        gateway, mailbox, spare = free_ports(3)
        port = self.options.port
        if port is None:
            # Somebody is told the usual one; two that check themselves side by side would both find it free.
            port = USUAL_PORT if not self.options.once and _is_free(USUAL_PORT) else spare
        return Shop(
            url=self.options.url or f"sqlite:///{quote(str(directory / 'events.db'))}",
            directory=directory,
            ports=Ports(order=port or spare, gateway=gateway, mailbox=mailbox),
            latencies=ORDINARY,
            namespace=Settings.from_environment().namespace,
        )

    async def _flow(self, shop: Shop, launcher: Launcher, broker: str) -> Report:
        """From nothing to orders that have all ended."""
        parts = (*shop.outside(), *shop.services())
        self.view.say(f"starting {', '.join(part.name for part in parts)} …")
        began = time.monotonic()
        await launcher.start(parts)
        self.view.say(f"ready after {time.monotonic() - began:.1f} s: orders at {shop.orders_url}/orders")
        placing = time.monotonic()
        async with httpx2.AsyncClient(base_url=shop.orders_url, timeout=30, trust_env=False) as client:
            customers = Customers(client, self.view.flow)
            with self.view.live():
                snapshot = await _unless_one_fails(self._place(customers, shop, launcher), launcher)
            late = await _unless_one_fails(self._late(shop, customers, snapshot), launcher)
            charges = (await client.get(f"{shop.gateway_url}/charges")).raise_for_status().json()
        return Report(
            broker=broker,
            placed=customers.placed,
            orders=snapshot["newest"],
            complaints=[
                *complaints(customers.placed, snapshot["newest"], charges, shop.maildir),
                *(late.complaints if late is not None else ()),
            ],
            late=late,
            seconds=time.monotonic() - placing,
        )

    async def _place(self, customers: Customers, shop: Shop, launcher: Launcher) -> Snapshot:
        looking_on = asyncio.create_task(customers.look_on())
        try:
            await customers.place(plan(self.options.orders))
            if self.options.late_subscriber:
                self.view.say(f"{self.options.orders} orders are placed: analytics joins …")
                await launcher.start([shop.analytics()])
        finally:
            looking_on.cancel()
        return await customers.follow(time.monotonic() + PATIENCE + self.options.orders)

    async def _late(self, shop: Shop, customers: Customers, snapshot: Snapshot) -> Comparison | None:
        """What the late subscriber has come to, where there is one."""
        if not self.options.late_subscriber:
            return None
        ours = {each.order_id for each in customers.placed}
        orders = [order for order in snapshot["newest"] if order["order_id"] in ours]
        return await compare(orders, shop.analytics_database, deadline=time.monotonic() + PATIENCE)

    async def _serve(self, shop: Shop, launcher: Launcher) -> int:
        """Until it is interrupted, which is the way to end it."""
        self.view.say(_what_next(shop))
        stopped = asyncio.Event()
        for each in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(each, stopped.set)
        await _unless_one_fails(stopped.wait(), launcher)
        self.view.say("stopping …")
        return 0


async def _unless_one_fails(work: Coroutine[object, object, T], launcher: Launcher) -> T:
    """What `work` gives; raises `PartFailed` as soon as a part of the shop has ended."""
    task = asyncio.ensure_future(work)
    try:
        while True:
            await asyncio.wait({task}, timeout=0.2)
            if (failed := launcher.failed()) is not None:
                raise failed
            if task.done():
                return task.result()
    finally:
        task.cancel()


def _what_next(shop: Shop) -> str:
    return f"""
The shop goes on serving until Ctrl-C. Order something:

  curl -s {shop.orders_url}/orders -H 'Content-Type: application/json' \\
       -d '{{"user_id": 789, "total": "99.99"}}'
  curl -s '{shop.orders_url}/orders?mode=sync' -H 'Content-Type: application/json' \\
       -d '{{"user_id": 789, "total": "99.99"}}'
  curl -s {shop.orders_url}/orders

In a second terminal, watch the events, look at the queues, or publish an order from outside:

  export EVENTBUS_URL={_to_export(shop.url)}
  eventbus tail
  eventbus status
  eventbus publish order.created '{{"order_id": 1, "user_id": 789, "total": "99.99"}}' --version 1.0

Make the payment gateway fail for a while, and see the orders end well all the same:

  curl -s -X PUT {shop.gateway_url}/admin/behaviour -H 'Content-Type: application/json' \\
       -d '{{"status": 503, "seconds": 10}}'

The mails, databases and logs are in {shop.directory}.
""".replace("[", r"\[")


def _to_export(url: str) -> str:
    """As a word of the shell; what may hold a password is not shown again."""
    return shlex.quote(url) if url.startswith("sqlite:") else "'amqp://…'   # the same as for this demo"


def _broker(url: str) -> str:
    """The broker for people; `url` as its transport tells it, without a password."""
    return f"embedded, on one SQLite file: {url}" if url.startswith("sqlite:") else f"RabbitMQ at {url}"


def _options() -> Options:
    parser = argparse.ArgumentParser(prog="python -m services.demo", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "--url",
        default=os.environ.get("EVENTBUS_URL"),
        help="amqp://…, or sqlite:///events.db; default: EVENTBUS_URL, else a new SQLite file",
    )
    parser.add_argument("--orders", type=int, default=20, metavar="N", help="how many to place; default: 20")
    usual = f"default: {USUAL_PORT} if it is free; with --once any that is free"
    parser.add_argument("--port", type=int, metavar="P", help=f"of the order API; {usual}")
    ending = parser.add_mutually_exclusive_group()
    ending.add_argument("--once", action="store_true", help="stop when the orders have ended")
    ending.add_argument("--serve", action="store_true", help="go on serving, the default")
    parser.add_argument(
        "--late-subscriber", action="store_true", help="an analytics service joins when the orders are placed"
    )
    parser.add_argument(
        "--output", choices=("table", "json"), default="table", help="how to print the summary"
    )
    given = parser.parse_args()
    if not 1 <= given.orders <= MOST_ORDERS:
        raise Usage(f"--orders {given.orders}: place from 1 to {MOST_ORDERS}")
    if given.port and not _is_free(given.port):
        raise Usage(f"--port {given.port}: something else listens there; leave it out for a free one")
    return Options(
        absolute(given.url), given.orders, given.port, given.once, given.late_subscriber, given.output
    )


def absolute(url: str | None) -> str | None:
    """The URL as it means the same in every directory; raises `Usage` for one that others cannot share."""
    if url is None or not url.startswith("sqlite:"):
        return url
    path = url.removeprefix("sqlite:///")
    if path == url or ":memory:" in url or not path:
        raise Usage(f"--url {url}: the shop is several processes; use sqlite:///events.db or amqp://…")
    return f"sqlite:///{Path(quote(str(Path.cwd()))) / path}"


def _is_free(port: int) -> bool:
    with closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


if __name__ == "__main__":
    sys.exit(main())
