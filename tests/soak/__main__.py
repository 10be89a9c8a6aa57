"""`python -m tests.soak`: see `script/soak --help`."""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from pathlib import Path

from eventbus.logs import configure
from tests.soak.run import Soak, tell
from tests.support.cluster import Cluster
from tests.support.lifeline import Lifeline
from tests.support.rabbitmq_node import RabbitNode


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="script/soak",
        description="Random faults under load. "
        "Exit code 1 when an event was lost, a call took too long, or memory grew with the events.",
    )
    parser.add_argument("--minutes", type=float, default=10.0, help="how long (default 10)")
    parser.add_argument("--cluster", action="store_true", help="on three nodes instead of one")
    parser.add_argument("--seed", type=int, help="repeats the faults of another run, which has printed it")
    parser.add_argument("--logs", type=Path, help="where all logs are kept (default: a new directory)")
    arguments = parser.parse_args()
    seed = arguments.seed if arguments.seed is not None else random.randrange(1_000_000)
    logs = arguments.logs or Path(tempfile.mkdtemp(prefix="eventbus-soak-"))
    tell(f"seed {seed}, {arguments.minutes:g} minutes, {'three nodes' if arguments.cluster else 'one node'}")
    tell(f"logs in {logs}")
    logs.mkdir(parents=True, exist_ok=True)
    os.chdir(logs)  # what the bus remembers goes there too
    with logging_to(Path.cwd()), nodes(3 if arguments.cluster else 1, Path.cwd()) as running:
        soak = Soak(running, random.Random(seed), 60 * arguments.minutes)
        sys.exit(asyncio.run(soak.run()))


@contextmanager
def logging_to(directory: Path) -> Iterator[None]:
    """Our own log; what is not a log still goes to stderr."""
    with (directory / "eventbus.log").open("w", buffering=1) as log:
        with redirect_stderr(log):
            configure("json")
        yield


@contextmanager
def nodes(count: int, logs: Path) -> Iterator[list[RabbitNode]]:
    lifeline = Lifeline()
    running: list[RabbitNode] = []
    try:
        if count == 1:
            running = [RabbitNode(lifeline.directory)]
            running[0].start()
        else:
            cluster = Cluster(lifeline.directory)
            running = list(cluster.nodes.values())
            cluster.start()
        yield running
    finally:
        for number, node in enumerate(running, 1):
            for log in node.logs:
                shutil.copy(log, logs / f"node-{number}-{log.name}")
        lifeline.cut()


if __name__ == "__main__":
    main()
