"""`python -m tests.soak`: see `script/soak --help`."""

from __future__ import annotations

import argparse
import asyncio
import random
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from typing import Final

from eventbus import Bus
from tests.soak.faults import Faults
from tests.support.cluster import Cluster
from tests.support.eventually import eventually
from tests.support.fault_proxy import FaultProxy
from tests.support.ledger import Ledger
from tests.support.lifeline import Lifeline
from tests.support.load import SEEN, Publishing, auditing, bus_to
from tests.support.rabbitmq_node import SETTLING, RabbitNode

TIMEOUT: Final = 5.0
"""Seconds that one publish may take."""
SLACK: Final = 1.0
"""Seconds that a loaded machine may add to it."""
CATCHING_UP: Final = 120.0
"""Seconds after the last fault in which everything has to be handled."""
PAUSES: Final = (1.0, 8.0)
"""Seconds between two faults: at least, at most."""


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="script/soak",
        description="Random faults under load. Exit code 1 when an event was lost or a call took too long.",
    )
    parser.add_argument("--minutes", type=float, default=10.0, help="how long (default 10)")
    parser.add_argument("--cluster", action="store_true", help="on three nodes instead of one")
    parser.add_argument("--seed", type=int, help="repeats the faults of another run, which has printed it")
    arguments = parser.parse_args()
    seed = arguments.seed if arguments.seed is not None else random.randrange(1_000_000)
    tell(f"seed {seed}, {arguments.minutes:g} minutes, {'three nodes' if arguments.cluster else 'one node'}")
    with nodes(3 if arguments.cluster else 1) as running:
        sys.exit(asyncio.run(soak(running, random.Random(seed), 60 * arguments.minutes)))


@contextmanager
def nodes(count: int) -> Iterator[list[RabbitNode]]:
    lifeline = Lifeline()
    try:
        if count == 1:
            node = RabbitNode(lifeline.directory)
            node.start()
            yield [node]
        else:
            cluster = Cluster(lifeline.directory)
            cluster.start()
            yield list(cluster.nodes.values())
    finally:
        lifeline.cut()


async def soak(running: list[RabbitNode], chance: random.Random, seconds: float) -> int:
    """The exit code."""
    ledger = Ledger()
    async with AsyncExitStack() as stack:
        proxies, buses = await _connected(stack, running)
        for bus in buses:
            await stack.enter_async_context(bus.running(auditing(ledger)))
        await asyncio.sleep(SETTLING)
        publishings = [Publishing(bus, ledger, timeout=TIMEOUT, pause=0.01) for bus in buses]
        try:
            async with asyncio.timeout(seconds + CATCHING_UP), AsyncExitStack() as publishing:
                for each in publishings:
                    await publishing.enter_async_context(each.going_on(side_by_side=4))
                await _inject(Faults(running, proxies, chance), chance, seconds, ledger)
        except TimeoutError:
            tell(f"publishers did not get through within {CATCHING_UP:g} s of the last fault")
            return 1
        slowest = max(each.slowest for each in publishings)
        return await _conclude(ledger, slowest)


async def _connected(stack: AsyncExitStack, running: list[RabbitNode]) -> tuple[list[FaultProxy], list[Bus]]:
    """One bus on each node, through a proxy."""
    proxies: list[FaultProxy] = []
    buses: list[Bus] = []
    for node in running:
        proxy, url = await stack.enter_async_context(FaultProxy.between(node.amqp_url()))
        proxies.append(proxy)
        buses.append(
            await stack.enter_async_context(bus_to(f"{url}?heartbeat=2", management_url=node.broker.http_url))
        )
    return proxies, buses


async def _inject(faults: Faults, chance: random.Random, seconds: float, ledger: Ledger) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        await asyncio.sleep(chance.uniform(*PAUSES))
        faults.check()
        name = await faults.inject()
        tell(
            f"{max(0.0, end - time.monotonic()):5.0f} s left  {name:32}"
            f"confirmed {len(ledger.confirmed)}, not handled yet {len(ledger.lost(SEEN))}"
        )


async def _conclude(ledger: Ledger, slowest: float) -> int:
    try:
        await eventually(lambda: not ledger.lost(SEEN), within=CATCHING_UP, every=0.5)
    except AssertionError:
        tell(f"lost: {sorted(ledger.lost(SEEN))[:20]}")
    tell(str(ledger))
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    tell(f"the longest call {slowest:.1f} s, of {TIMEOUT:g} allowed; peak memory {megabytes:.0f} MB")
    return 1 if ledger.lost(SEEN) or slowest > TIMEOUT + SLACK else 0


def tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
