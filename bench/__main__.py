"""`python -m bench [case …]`: see `script/bench --help`."""

from __future__ import annotations

import argparse
import asyncio
import platform
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version

from rich.console import Console

from bench import embedded, history, inbox, inbox_rows, memory, outbox, rabbitmq, sourcing, startup
from bench.peers import command as comparison
from tests.support.lifeline import Lifeline
from tests.support.rabbitmq_node import RabbitNode

CASES = ("startup", "embedded", "rabbitmq", "memory", "inbox", "outbox", "inbox-rows", "sourcing", "history")
NEED_A_BROKER = {"rabbitmq", "memory", "inbox", "outbox", "history"}


def main() -> None:
    if comparison.WORDS & set(sys.argv[1:]):
        comparison.main(sys.argv[1:])
        return
    parser = argparse.ArgumentParser(
        prog="script/bench", description="What eventbus costs, as ratios of one run."
    )
    parser.add_argument("cases", nargs="*", help=f"some of {', '.join(CASES)}; default: all")
    parser.add_argument("--rounds", type=int, default=5, help="how often each side runs (default 5)")
    parser.add_argument(
        "--rows", type=int, default=1_000_000, help="what a full inbox holds (default a million)"
    )
    parser.add_argument("--events", type=int, default=20_000, help="the history's length (default 20000)")
    parser.add_argument(
        "--deliveries", type=int, default=100_000, help="to look at the memory after (default 100000)"
    )
    parser.add_argument("--url", help="amqp://… (default: a private node of the installed rabbitmq-server)")
    arguments = parser.parse_args()
    cases = arguments.cases or list(CASES)
    if unknown := set(cases) - set(CASES):
        parser.error(f"no such case: {', '.join(sorted(unknown))}")
    with broker(arguments.url, needed=bool(NEED_A_BROKER & set(cases))) as url:
        asyncio.run(_run(cases, arguments, url))


@contextmanager
def broker(given: str | None, *, needed: bool) -> Iterator[str | None]:
    """The URL given, or that of a private node which ends with the run."""
    if given or not needed:
        yield given
        return
    lifeline = Lifeline()
    try:
        node = RabbitNode(lifeline.directory)
        node.start()
        yield node.amqp_url()
    finally:
        lifeline.cut()


async def _run(cases: list[str], arguments: argparse.Namespace, url: str | None) -> None:
    rounds: int = arguments.rounds
    console = Console(width=100)
    console.print(
        f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, "
        f"aio-pika {version('aio-pika')}, pydantic {version('pydantic')}, {platform.machine()}"
    )
    if "startup" in cases:
        await startup.run(rounds, console)
    if "embedded" in cases:
        await embedded.run(rounds, console)
    if "rabbitmq" in cases and url is not None:
        await rabbitmq.run(url, rounds, console)
    if "memory" in cases:
        await memory.run(url, arguments.deliveries, console)
    if "inbox" in cases and url is not None:
        await inbox.run(url, rounds, console)
    if "outbox" in cases and url is not None:
        await outbox.run(url, rounds, console)
    if "inbox-rows" in cases:
        await inbox_rows.run(rounds, arguments.rows, console)
    if "sourcing" in cases:
        await sourcing.run(rounds, console)
    if "history" in cases and url is not None:
        await history.run(url, rounds, arguments.events, console)


if __name__ == "__main__":
    main()
