"""The faults of a soak, each of which ends by itself."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tests.support.fault_proxy import FaultProxy, Method, Way
from tests.support.rabbitmq_node import RabbitNode


@dataclass(frozen=True)
class Faults:
    """Injects one at a time. `proxies`: one before each node, in the same order."""

    nodes: list[RabbitNode]
    proxies: list[FaultProxy]
    chance: random.Random

    def check(self) -> None:
        """Raises AssertionError when somebody else has ended a node: then the books say nothing."""
        for number, node in enumerate(self.nodes, 1):
            assert node.is_alive, f"node {number} of {len(self.nodes)} was ended from outside"

    async def inject(self) -> str:
        """Returns when it is over; what it was."""
        kinds: dict[str, Callable[[], Awaitable[None]]] = {
            "connections reset": self._reset,
            "connections closed": self._close,
            "a frame cut in half": self._halve,
            "a confirm lost": self._lose_confirm,
            "an ack lost": self._lose_ack,
            "the network silent": self._silence,
            "the network stalled": self._stall,
            "the network slow": self._slow,
            "a node frozen": self._freeze,
            "a node killed and restarted": self._kill,
            "a memory alarm": self._alarm,
        }
        name = self.chance.choice(list(kinds))
        await kinds[name]()
        return name

    async def _reset(self) -> None:
        self._proxy().cut()

    async def _close(self) -> None:
        self._proxy().cut(gently=True)

    async def _halve(self) -> None:
        self._proxy().halve_next(Way.DOWN, Method.DELIVER)

    async def _lose_confirm(self) -> None:
        self._proxy().lose_next(Way.DOWN, Method.ACK)

    async def _lose_ack(self) -> None:
        proxy = self._proxy()
        lost = proxy.lose_next(Way.UP, Method.ACK)
        await asyncio.wait({lost}, timeout=5)
        proxy.cut()

    async def _silence(self) -> None:
        proxy = self._proxy()
        proxy.black_hole()
        await self._some(3, 10)
        proxy.heal()

    async def _stall(self) -> None:
        proxy = self._proxy()
        proxy.stall(Way.UP)
        await self._some(1, 6)
        proxy.heal()

    async def _slow(self) -> None:
        proxy = self._proxy()
        proxy.delay(0.02)
        await self._some(2, 6)
        proxy.heal()

    async def _freeze(self) -> None:
        node = self._node()
        node.pause()
        await self._some(2, 12)
        node.resume()

    async def _kill(self) -> None:
        node = self._node()
        await asyncio.to_thread(node.kill)
        await self._some(0, 5)
        await asyncio.to_thread(node.start)

    async def _alarm(self) -> None:
        node = self._node()
        await asyncio.to_thread(node.ctl, "set_vm_memory_high_watermark", "0.00001")
        await self._some(2, 8)
        await asyncio.to_thread(node.ctl, "set_vm_memory_high_watermark", "0.4")

    async def _some(self, least: float, most: float) -> None:
        await asyncio.sleep(self.chance.uniform(least, most))

    def _node(self) -> RabbitNode:
        return self.chance.choice(self.nodes)

    def _proxy(self) -> FaultProxy:
        return self.chance.choice(self.proxies)
