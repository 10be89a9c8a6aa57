"""`python -m bench [case …]`: see `script/bench --help`."""

from __future__ import annotations

import argparse
import asyncio
import platform
import sqlite3
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import Final

from rich.console import Console

from bench import (
    embedded,
    history,
    inbox,
    inbox_rows,
    memory,
    outbox,
    rabbitmq,
    redrive,
    sourcing,
    startup,
    steps,
)
from bench.peers import command as comparison
from tests.support.lifeline import Lifeline
from tests.support.rabbitmq_node import RabbitNode

Case = Callable[[argparse.Namespace, Console], Awaitable[None]]

WITHOUT_A_BROKER: Final[dict[str, Case]] = {
    "startup": lambda given, console: startup.run(given.rounds, console),
    "embedded": lambda given, console: embedded.run(given.rounds, console),
    "inbox-rows": lambda given, console: inbox_rows.run(given.rounds, given.rows, console),
    "sourcing": lambda given, console: sourcing.run(given.rounds, console),
    "steps": lambda given, console: steps.run(given.rounds, console),
}
WITH_A_BROKER: Final[dict[str, Case]] = {
    "rabbitmq": lambda given, console: rabbitmq.run(given.url, given.rounds, console),
    "memory": lambda given, console: memory.run(given.url, given.deliveries, console),
    "inbox": lambda given, console: inbox.run(given.url, given.rounds, console),
    "outbox": lambda given, console: outbox.run(given.url, given.rounds, console),
    "history": lambda given, console: history.run(given.url, given.rounds, given.events, console),
    "redrive": lambda given, console: redrive.run(given.url, given.rounds, given.events, console),
}
CASES: Final = {**WITHOUT_A_BROKER, **WITH_A_BROKER}


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
    parser.add_argument(
        "--events", type=int, default=20_000, help="of the history, and of dead letters (default 20000)"
    )
    parser.add_argument(
        "--deliveries", type=int, default=100_000, help="to look at the memory after (default 100000)"
    )
    parser.add_argument("--url", help="amqp://… (default: a private node of the installed rabbitmq-server)")
    given = parser.parse_args()
    cases = given.cases or list(CASES)
    if unknown := set(cases) - set(CASES):
        parser.error(f"no such case: {', '.join(sorted(unknown))}")
    with broker(given.url, needed=bool(WITH_A_BROKER.keys() & set(cases))) as given.url:
        asyncio.run(_run(cases, given))


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


async def _run(cases: list[str], given: argparse.Namespace) -> None:
    console = Console(width=100)
    console.print(
        f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, "
        f"aio-pika {version('aio-pika')}, pydantic {version('pydantic')}, {platform.machine()}"
    )
    for case in cases:
        await CASES[case](given, console)


if __name__ == "__main__":
    main()
