"""A transport whose every step the test says: for what a real one does only when something goes wrong."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import cast

from eventbus.outcome import Outcome
from eventbus.transport import Delivery, Message, Transport

Step = Sequence[Delivery] | Exception | None


class ScriptedConsumption:
    """What the test hands over comes out of it; what is settled stays in `settled`."""

    def __init__(self, queue: str, prefetch: int) -> None:
        self.losses = 0
        self.queue = queue
        self.prefetch = prefetch
        self.settled: list[tuple[Delivery, Outcome]] = []
        self.settle_calls = 0
        self.is_stopped = False
        self.settling = asyncio.Event()
        """Cleared by a test that wants settling to take its time."""
        self.settling.set()
        self._steps: asyncio.Queue[Step] = asyncio.Queue()

    def hand_over(self, *deliveries: Delivery) -> None:
        self._steps.put_nowait(deliveries)

    def fail(self, error: Exception) -> None:
        self._steps.put_nowait(error)

    async def __aiter__(self) -> AsyncIterator[Sequence[Delivery]]:
        while (step := await self._steps.get()) is not None:
            if isinstance(step, Exception):
                raise step
            yield step

    async def settle(self, outcomes: Sequence[tuple[Delivery, Outcome]]) -> None:
        self.settle_calls += 1
        await self.settling.wait()
        self.settled += outcomes

    async def stop(self) -> None:
        self.is_stopped = True
        self._steps.put_nowait(None)


class ScriptedTransport:
    """Keeps what is sent, and gives out scripted consumptions."""

    url = "scripted:"
    handling_limit = None
    log_lag = 0.0

    def __init__(self) -> None:
        self.sent: list[Message] = []
        self.timeouts: list[float] = []
        self.send_error: Exception | None = None
        self.consume_errors: list[Exception] = []
        """Raised, first to last, by the next attempts to consume."""
        self.consumptions: list[ScriptedConsumption] = []
        self.may_consume = asyncio.Event()
        self.may_consume.set()

    async def send(
        self, messages: Sequence[Message], *, timeout: float, patience: float | None = None
    ) -> None:
        if self.send_error is not None:
            raise self.send_error
        self.timeouts.append(timeout)
        self.sent += messages

    @asynccontextmanager
    async def consume(self, queue: str, *, prefetch: int) -> AsyncIterator[ScriptedConsumption]:
        await self.may_consume.wait()
        if self.consume_errors:
            raise self.consume_errors.pop(0)
        consumption = ScriptedConsumption(queue, prefetch)
        self.consumptions.append(consumption)
        yield consumption

    def as_transport(self) -> Transport:
        """What nobody asks for in these tests is not there."""
        return cast("Transport", self)
