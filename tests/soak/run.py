"""One soak: a bus on each node, faults between them, and the books at the end."""

from __future__ import annotations

import asyncio
import functools
import random
import sys
import time
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Final

from eventbus import Bus
from eventbus.errors import EventBusError, describe
from eventbus.rabbitmq.spreading import MANY
from tests.soak.faults import Faults
from tests.soak.memory import Memory, resident_megabytes
from tests.support.eventually import eventually
from tests.support.fault_proxy import FaultProxy
from tests.support.ledger import Ledger
from tests.support.load import SEEN, SLACK, Publishing, auditing, bus_to
from tests.support.rabbitmq_node import SETTLING, RabbitNode

TIMEOUT: Final = 5.0
"""Seconds that one publish may take."""
CATCHING_UP: Final = 120.0
"""Seconds after the last fault in which everything has to be handled."""
PAUSES: Final = (1.0, 8.0)
"""Seconds between two faults: at least, at most."""
AT_ONCE: Final = MANY
"""Events of one call of those who publish many: enough for the second connection."""
MOST_OPEN: Final = 10_000
"""Events that are not handled yet. The books hold their ids: of more, they would be what grows."""
DEAD_LETTERS_READ: Final = 100_000
"""More are counted as lost."""

_SHOWN: Final = 20
_FORGETTING: Final = 1.0


class Soak:
    """Publishes and handles through `seconds` of faults."""

    def __init__(self, nodes: list[RabbitNode], chance: random.Random, seconds: float) -> None:
        self._nodes = nodes
        self._chance = chance
        self._seconds = seconds
        self._ledger = Ledger()
        self._memory = Memory()
        self._slowest = 0.0
        self._caught_up = False

    async def run(self) -> int:
        """The exit code. The ledger is told in any case."""
        try:
            async with AsyncExitStack() as stack:
                forgetting = asyncio.create_task(self._forget())
                stack.callback(forgetting.cancel)
                proxies, buses = await _connected(stack, self._nodes)
                for bus in buses:
                    await stack.enter_async_context(bus.running(auditing(self._ledger)))
                await asyncio.sleep(SETTLING)
                if await self._publish_through(Faults(self._nodes, proxies, self._chance), buses):
                    await self._catch_up(buses[0])
        finally:
            self._tell_the_books()
        return 0 if self._is_well else 1

    async def _publish_through(self, faults: Faults, buses: list[Bus]) -> bool:
        """Whether every publisher got through in the end."""
        publishing = functools.partial(Publishing, ledger=self._ledger, timeout=TIMEOUT, most_open=MOST_OPEN)
        one_by_one = [publishing(bus, pause=0.01) for bus in buses]
        together = [publishing(bus, pause=0.5, at_once=AT_ONCE) for bus in buses]
        publishings = [*one_by_one, *together]
        try:
            async with asyncio.timeout(self._seconds + CATCHING_UP), AsyncExitStack() as stack:
                for each in publishings:
                    await stack.enter_async_context(each.going_on(side_by_side=4))
                await self._inject(faults)
        except TimeoutError:
            tell(f"publishers did not get through within {CATCHING_UP:g} s of the last fault")
            return False
        finally:
            self._slowest = max(each.slowest for each in publishings)
        return True

    async def _inject(self, faults: Faults) -> None:
        began = time.monotonic()
        while (over := (time.monotonic() - began) / self._seconds) < 1:
            if self._memory.is_due(over):
                self._look()
            await asyncio.sleep(self._chance.uniform(*PAUSES))
            faults.check()
            name = await faults.inject()
            left = max(0.0, began + self._seconds - time.monotonic())
            tell(
                f"{datetime.now(UTC):%H:%M:%S}  {left:5.0f} s left  {name:32}"
                f"confirmed {self._ledger.count_of_confirmed}, "
                f"not handled yet {len(self._ledger.lost(SEEN))}, {resident_megabytes():.0f} MB"
            )

    async def _catch_up(self, bus: Bus) -> None:
        try:
            await eventually(lambda: not self._ledger.lost(SEEN), within=CATCHING_UP, every=0.5)
        except AssertionError:
            await self._read_dead_letters(bus)
        self._ledger.forget_settled(SEEN)
        while self._memory.is_due(1.0):
            self._look()
        self._caught_up = True

    async def _read_dead_letters(self, bus: Bus) -> None:
        """What came back too often was given up by the broker, and is not lost."""
        try:
            for dead in await bus.transport.dead_letters(SEEN, limit=DEAD_LETTERS_READ):
                self._ledger.dead[SEEN][dead.message.event_id or "without an id"] += 1
        except EventBusError as error:
            tell(f"the dead letters could not be read: {describe(error)}")

    async def _forget(self) -> None:
        while True:
            await asyncio.sleep(_FORGETTING)
            self._ledger.forget_settled(SEEN)

    def _look(self) -> None:
        tell(str(self._memory.look(self._ledger.count_remembered)))

    @property
    def _is_well(self) -> bool:
        in_time = self._slowest <= TIMEOUT + SLACK
        return self._caught_up and in_time and not self._ledger.lost(SEEN) and self._memory.is_flat

    def _tell_the_books(self) -> None:
        if lost := self._ledger.lost(SEEN):
            tell(f"lost: {sorted(lost)[:_SHOWN]}")
        tell(str(self._ledger))
        tell(f"the longest call {self._slowest:.1f} s, of {TIMEOUT:g} allowed")
        for look in self._memory.looks:
            tell(str(look))
        tell(f"memory grew by {self._memory.growth:.1f} MB from the first look to the last")


async def _connected(stack: AsyncExitStack, nodes: list[RabbitNode]) -> tuple[list[FaultProxy], list[Bus]]:
    """One bus on each node, through a proxy."""
    proxies: list[FaultProxy] = []
    buses: list[Bus] = []
    for node in nodes:
        proxy, url = await stack.enter_async_context(FaultProxy.between(node.amqp_url()))
        proxies.append(proxy)
        buses.append(
            await stack.enter_async_context(bus_to(f"{url}?heartbeat=2", management_url=node.broker.http_url))
        )
    return proxies, buses


def tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
