"""Takes deliveries from one queue, and consumes again by itself after any loss."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from types import TracebackType
from typing import Final, Self

from eventbus.errors import BrokerUnreachable, describe
from eventbus.logs import get_logger
from eventbus.outcome import Outcome
from eventbus.rabbitmq.ask import Lost, Refused, ask
from eventbus.rabbitmq.caution import BeginAgain, Caution
from eventbus.rabbitmq.intake import Intake, handle_of
from eventbus.rabbitmq.options import RabbitMQOptions
from eventbus.rabbitmq.settling import Settler
from eventbus.rabbitmq.supervisor import Link, LinkState, Pauses
from eventbus.rabbitmq.topology import Names
from eventbus.transport import Delivery
from eventbus.waiting import carried_out

Restore = Callable[[str], Awaitable[None]]
"""Declares a queue again that has gone."""

_NOT_FOUND: Final = 404
_CANCEL_TIMEOUT: Final = 5.0
"""Seconds. A broker that takes longer is not waited for: what it has handed over comes back to the queue."""
_MOST_PREFETCH: Final = 65_535


class RabbitMQConsumption:
    """Consuming from one queue, on a channel of its own: the trouble of one never reaches another."""

    def __init__(
        self,
        link: Link,
        queue: str,
        prefetch: int,
        *,
        settler: Settler,
        names: Names,
        options: RabbitMQOptions,
        restore: Restore,
    ) -> None:
        self.losses = 0
        self._link = link
        self._queue = queue
        self._caution = Caution(
            max(1, min(prefetch, _MOST_PREFETCH)), is_needed=not names.is_dead_queue(queue)
        )
        self._settler = settler
        self._names = names
        self._options = options
        self._restore = restore
        self._arrived: list[Delivery] = []
        self._wake = asyncio.Event()
        self._stopped = False
        self._intake: Intake | None = None
        self._consumer_tag: str | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._log = get_logger("eventbus.rabbitmq").bind(queue=queue)

    async def __aenter__(self) -> Self:
        """Raises `TopologyError` when there is no such queue, `BrokerUnreachable` when there is no broker."""
        try:
            intake = await self._begin(within=self._options.connect_timeout)
        except Refused as refusal:
            raise refusal.concerning(f"queue {self._queue}") from refusal
        except Lost as loss:
            raise BrokerUnreachable(self._link.url, str(loss)) from loss
        self._keeper = asyncio.create_task(self._keep(intake), name=f"consume {self._queue}")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """What was handed over and not settled goes back to the queue, also when this is cancelled."""
        await carried_out(self._leave())

    async def _leave(self) -> None:
        await self._end()
        if self._intake is not None and not await self._intake.close():
            self.losses += 1

    def __aiter__(self) -> AsyncIterator[Sequence[Delivery]]:
        return self._batches()

    async def settle(self, outcomes: Sequence[tuple[Delivery, Outcome]]) -> None:
        await self._settler.settle(outcomes)

    async def stop(self) -> None:
        """What has arrived and was not handed over yet goes back to the queue at once."""
        await self._end()
        intake, tag = self._intake, self._consumer_tag
        if intake is None or tag is None or not intake.wire.is_open:
            return
        self._consumer_tag = None
        try:
            await ask(intake.wire.channel.basic_cancel(tag), within=_CANCEL_TIMEOUT)
        except (Lost, Refused) as loss:
            intake.wire.end(loss)
        await intake.requeue([handle_of(delivery).tag for delivery in self._take_arrived()])

    async def _end(self) -> None:
        self._no_more()
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait({self._keeper})

    def _no_more(self) -> None:
        self._stopped = True
        self._settler.stop()
        self._wake.set()

    async def _batches(self) -> AsyncIterator[Sequence[Delivery]]:
        while True:
            await self._wake.wait()
            if self._stopped:
                return
            self._wake.clear()
            if batch := self._take_arrived():
                self._caution.handing_over()
                yield batch

    def _take_arrived(self) -> list[Delivery]:
        arrived, self._arrived = self._arrived, []
        return arrived

    def _arrive(self, delivery: Delivery) -> None:
        if not self._caution.is_over:
            handle = handle_of(delivery)
            if (reason := self._caution.judge(handle.returns)) is not None:
                handle.intake.wire.end(reason)
                return
        if not self._arrived:
            self._wake.set()
        self._arrived.append(delivery)

    async def _keep(self, intake: Intake) -> None:
        pauses = Pauses(self._options.first_pause, self._options.longest_pause)
        while True:
            began = asyncio.get_running_loop().time()
            await asyncio.wait({intake.wire.lost})
            self.losses += 1
            self._tell(intake.wire.lost.result())
            self._take_arrived()  # they come back from the queue
            await intake.wire.close()
            if asyncio.get_running_loop().time() - began > self._options.longest_pause:
                pauses.reset()
            if (resumed := await self._begin_again(pauses)) is None:
                self._no_more()
                return
            intake = resumed
            self._log.info("consumption.resumed")

    def _tell(self, loss: Exception) -> None:
        what = "consumption.cautious" if isinstance(loss, BeginAgain) else "consumption.lost"
        self._log.warning(what, problem=str(loss), prefetch=self._caution.prefetch)

    async def _begin_again(self, pauses: Pauses) -> Intake | None:
        """None when the transport was closed: nobody connects any more."""
        known: str | None = None
        while self._link.state is not LinkState.CLOSED:
            # Also before the first attempt: a consumer that is ended at once again must not make a hot loop.
            await asyncio.sleep(pauses.next())
            try:
                return await self._begin(within=self._options.connect_timeout)
            except Exception as error:  # noqa: BLE001  whatever it is, trying again is all that helps
                problem = str(error) if isinstance(error, (Lost, Refused)) else describe(error)
                if isinstance(error, Refused) and error.code == _NOT_FOUND:
                    problem = await self._restored() or problem
            if problem != known:
                self._log.error("consumption.failed", problem=problem)
                known = problem
        return None

    async def _restored(self) -> str | None:
        """Why the queue that has gone could not be declared again; None when it was."""
        try:
            await self._restore(self._queue)
        except Exception as error:  # noqa: BLE001  the next attempt finds it gone, and tries again
            return describe(error)
        return None

    async def _begin(self, *, within: float) -> Intake:
        """A new channel that the queue's messages come to, under a fresh consumer tag."""
        wire = await self._link.channel(within=within)
        try:
            self._intake = intake = Intake(wire, self._queue, self._names, self._arrive)
            self._consumer_tag = await wire.consume(
                self._queue, prefetch=self._caution.prefetch, within=within
            )
        except BaseException:
            await wire.close()
            raise
        return intake
