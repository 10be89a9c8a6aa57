"""What the tests of this suite do all the time: declare, send, take, settle, and look at what is left."""

from __future__ import annotations

import asyncio
import uuid
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from eventbus.outcome import Ack
from eventbus.transport import Message, QueueSpec, Topology
from tests.conformance.sizes import PATIENCE

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable, Sequence

    from eventbus.outcome import Outcome
    from eventbus.transport import (
        Consumption,
        DeadLetterEntry,
        Delivery,
        LogEntry,
        LogStart,
        QueueStats,
        Transport,
    )

PREFETCH: Final = 100
SEND_TIMEOUT: Final = PATIENCE
ACK: Final = Ack()

CHARGE: Final = "payment.charge"
NOTIFY: Final = "email.notify"
ORDER_CREATED: Final = "order.created"


def topology(**patterns: Sequence[str]) -> Topology:
    """Queues by name and patterns: topology(**{"payment.charge": ["order.*"]})."""
    return Topology(tuple(QueueSpec(name, tuple(bound)) for name, bound in patterns.items()))


CHARGE_ALONE: Final = topology(**{CHARGE: [ORDER_CREATED]})
CHARGE_AND_NOTIFY: Final = topology(**{CHARGE: [ORDER_CREATED], NOTIFY: [ORDER_CREATED]})


def a_message(
    routing_key: str = ORDER_CREATED, body: bytes = b"{}", *, queue: str | None = None, delay: float = 0.0
) -> Message:
    """One with an id of its own."""
    event_id = f"evt_{uuid.uuid4().hex}"
    return Message(body, routing_key, event_id=event_id, event_type=routing_key, queue=queue, delay=delay)


def some_messages(count: int, routing_key: str = ORDER_CREATED) -> list[Message]:
    """Each with an id and a body of its own: the bodies are b"0", b"1", …"""
    return [a_message(routing_key, b"%d" % number) for number in range(count)]


async def send(transport: Transport, *messages: Message) -> None:
    await transport.send(messages, timeout=SEND_TIMEOUT)


def ids(carriers: Iterable[Message | Delivery | LogEntry | DeadLetterEntry]) -> list[str]:
    messages = (carrier if isinstance(carrier, Message) else carrier.message for carrier in carriers)
    return [str(message.event_id) for message in messages]


async def take(consumption: Consumption, count: int, *, within: float = PATIENCE) -> list[Delivery]:
    """At least `count` deliveries, none of them settled: whole batches, until they are enough."""
    return await _receive(consumption, count, within, None)


async def collect(
    consumption: Consumption, count: int, *, within: float = PATIENCE, outcome: Outcome = ACK
) -> list[Delivery]:
    """At least `count` deliveries, each settled with `outcome`: whole batches, until they are enough."""
    return await _receive(consumption, count, within, outcome)


async def settle(consumption: Consumption, deliveries: Sequence[Delivery], outcome: Outcome) -> None:
    await consumption.settle([(delivery, outcome) for delivery in deliveries])


async def contents(transport: Transport, queue: str) -> list[Delivery]:
    """All that comes out of the queue from now on, acked, in order; it ends with a marker that goes in now.

    So what was to be in the queue is in the answer, and what was not to be in it is seen too, with no
    waiting for what does not come.
    """
    marker = a_message(queue=queue)
    await send(transport, marker)
    found: list[Delivery] = []
    async with transport.consume(queue, prefetch=PREFETCH) as consumption:
        while marker.event_id not in ids(found):
            found += await collect(consumption, 1)
    return [delivery for delivery in found if delivery.message.event_id != marker.event_id]


async def history(
    transport: Transport, start: LogStart, count: int, *, within: float = PATIENCE
) -> list[LogEntry]:
    """At least `count` entries of the log."""
    entries: list[LogEntry] = []
    deadline = _deadline(within, lambda: f"{len(entries)} of {count} entries of the log")
    async with deadline, transport.log(start) as batches:
        async for batch in batches:
            assert batch, "the log gave an empty batch"
            entries += batch
            if len(entries) >= count:
                break
    return entries


async def stretch(transport: Transport, start: LogStart, until: int) -> list[LogEntry]:
    """All entries of the log from `start` on and before `until`."""
    entries: list[LogEntry] = []
    deadline = _deadline(PATIENCE, lambda: f"{len(entries)} entries of the log before {until}")
    async with deadline, transport.log(start, until=until) as batches:
        async for batch in batches:
            assert batch, "the log gave an empty batch"
            entries += batch
    return entries


async def stats_of(transport: Transport, queue: str) -> QueueStats:
    (stats,) = await transport.stats([queue])
    return stats


async def _receive(
    consumption: Consumption, count: int, within: float, outcome: Outcome | None
) -> list[Delivery]:
    received: list[Delivery] = []
    if count <= 0:
        return received
    async with _deadline(within, lambda: f"{len(received)} of {count} deliveries"):
        async for batch in consumption:
            assert batch, "the consumption gave an empty batch"
            received += batch
            if outcome is not None:
                await settle(consumption, batch, outcome)
            if len(received) >= count:
                return received
    raise AssertionError(f"the consumption ended after {len(received)} of {count} deliveries")


@asynccontextmanager
async def _deadline(within: float, progress: Callable[[], str]) -> AsyncGenerator[None]:
    try:
        async with asyncio.timeout(within):
            yield
    except TimeoutError as error:
        raise AssertionError(f"only {progress()} within {within:g} s") from error
