"""Looking at dead letters: they are handed over, read, and given back as they were."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Final, cast

from eventbus import headers as names_of
from eventbus.outcome import Reason
from eventbus.rabbitmq.ask import ask
from eventbus.rabbitmq.messages import deaths, message_of
from eventbus.rabbitmq.supervisor import Link
from eventbus.rabbitmq.topology import Names
from eventbus.rabbitmq.wire import Arrival, Wire
from eventbus.transport import DeadLetterEntry

_QUIET: Final = 2.0
"""Seconds without another one, after which somebody else has taken what is missing."""
_MOMENT: Final = 0.005
_MOST_AT_ONCE: Final = 65_535


async def browse(link: Link, names: Names, queue: str, *, limit: int, within: float) -> list[DeadLetterEntry]:
    """The oldest first, at most `limit`. `within` bounds each answer, in seconds."""
    dead = names.dead_queue(queue)
    wire = await link.channel(within=within)
    try:
        wanted = min(limit, await _count(wire, dead, within), _MOST_AT_ONCE)
        found = await _look(wire, names, dead, wanted, within) if wanted > 0 else []
    finally:
        # Closed without an ack: all of them go back into the queue, in their order.
        await wire.close()
    if found:
        await _back_in_queue(link, dead, len(found), within)
    return found


async def _look(wire: Wire, names: Names, dead: str, wanted: int, within: float) -> list[DeadLetterEntry]:
    found: list[DeadLetterEntry] = []
    news = asyncio.Event()

    def take(arrival: Arrival) -> None:
        found.append(entry_of(names, arrival))
        news.set()

    wire.listen(on_arrival=take)
    await wire.consume(dead, prefetch=wanted, within=within)
    try:
        while len(found) < wanted and wire.is_open:
            news.clear()
            async with asyncio.timeout(_QUIET):
                await news.wait()
    except TimeoutError:
        pass
    return found


async def _back_in_queue(link: Link, dead: str, count: int, within: float) -> None:
    """The broker answers to closing before they are back; whoever looks next shall find them."""
    wire = await link.channel(within=within)
    try:
        async with asyncio.timeout(_QUIET):
            while await _count(wire, dead, within) < count:  # noqa: ASYNC110  the broker sends no word of it
                await asyncio.sleep(_MOMENT)
    except TimeoutError:
        pass  # somebody else has taken some
    finally:
        await wire.close()


async def _count(wire: Wire, queue: str, within: float) -> int:
    return (await ask(wire.channel.queue_declare(queue, passive=True), within=within)).message_count or 0


def entry_of(names: Names, arrival: Arrival) -> DeadLetterEntry:
    """Our headers tell the story; where the broker gave a message up itself, its own do."""
    headers = cast("dict[str, object]", arrival.properties.headers or {})
    no_death: dict[str, object] = {}
    death = next(iter(deaths(headers)), no_death)
    reason = headers.get(names_of.REASON)
    error = headers.get(names_of.ERROR)
    by_us = isinstance(reason, str)
    return DeadLetterEntry(
        message=message_of(names, arrival),
        reason=reason if isinstance(reason, str) else _reason_of_broker(death),
        error=error if isinstance(error, str) else _error_of_broker(headers),
        attempts=names_of.attempt(headers),
        first_failed_at=_time(headers.get(names_of.FIRST_FAILED_AT)),
        died_at=_time(headers.get(names_of.FAILED_AT) if by_us else death.get("time")),
    )


def _reason_of_broker(death: dict[str, object]) -> str:
    reason = death.get("reason")
    if reason == "delivery_limit":
        return Reason.DELIVERY_LIMIT
    return reason if isinstance(reason, str) else "unknown"


def _error_of_broker(headers: dict[str, object]) -> str:
    count = headers.get("x-delivery-count")
    times = f"handed over {count + 1} times and never settled" if isinstance(count, int) else "never settled"
    return f"{times}: the process that handled it may have died of it"


def _time(value: object) -> datetime | None:
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    if not isinstance(value, datetime):
        return None
    return value if value.tzinfo else value.replace(tzinfo=UTC)
