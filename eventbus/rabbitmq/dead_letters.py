"""Looking at dead letters: they are handed over, read, and given back as they were.

Always all of them, however few are wanted: a quorum queue appends what it gets back to what it got back
before, and hands that over first. Part of it, given back, would be behind the rest.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Final

from eventbus.rabbitmq.arrival import Arrival
from eventbus.rabbitmq.ask import Lost, Refused, ask
from eventbus.rabbitmq.death import dead_message_of
from eventbus.rabbitmq.supervisor import Link
from eventbus.rabbitmq.topology import Names
from eventbus.rabbitmq.wire import Wire
from eventbus.transport import DeadLetterEntry

_QUIET: Final = 2.0
"""Seconds without another one, after which somebody else has taken what is missing, if the broker answers."""
_MOMENT: Final = 0.005
_MOST_AT_ONCE: Final = 65_535


async def browse(
    link: Link, names: Names, queue: str, *, limit: int, within: float
) -> AsyncGenerator[list[DeadLetterEntry]]:
    """The oldest first, at most `limit`, as they arrive. `within` bounds each answer, in seconds."""
    dead = names.dead_queue(queue)
    wire = await link.channel(within=within)
    look = _Look(wire, names, lambda: _count(wire, dead, within))
    lying = 0
    try:
        lying = await _count(wire, dead, within)
        if (wanted := min(limit, lying, _MOST_AT_ONCE)) > 0:
            await wire.consume(dead, prefetch=_MOST_AT_ONCE, within=within)
            async for batch in look.batches(wanted):
                yield batch
    except Lost as loss:
        wire.end(loss)
        raise
    finally:
        is_lost = not wire.is_open
        # Closed without an ack: all of them go back into the queue, in their order.
        await wire.close()
        if look.began and not is_lost:  # else they are back when the broker has noticed it
            await _back_in_queue(link, dead, lying, within)


class _Look:
    """What one channel is handed, to be read only."""

    def __init__(self, wire: Wire, names: Names, ask_on: Callable[[], Awaitable[object]]) -> None:
        """`ask_on`: a question on the same channel; raises `Lost`."""
        self.began = False
        self._wire = wire
        self._names = names
        self._ask_on = ask_on
        self._unread: list[Arrival] = []
        self._news = asyncio.Event()
        wire.listen(on_arrival=self._take)
        wire.lost.add_done_callback(lambda _: self._news.set())

    async def batches(self, wanted: int) -> AsyncGenerator[list[DeadLetterEntry]]:
        """Until so many were read, or nothing came for a while though the broker answers.

        Raises what ended the channel before that.
        """
        read = 0
        while read < wanted:
            try:
                async with asyncio.timeout(_QUIET):
                    await self._news.wait()
            except TimeoutError:
                await self._ask_on()  # a network that has fallen silent is as quiet
                if not self._news.is_set():
                    return
            self._news.clear()
            unread, self._unread = self._unread[: wanted - read], []
            read += len(unread)
            if unread:
                yield [DeadLetterEntry.of(dead_message_of(self._names, arrival)) for arrival in unread]
            if read < wanted and not self._wire.is_open:
                raise self._wire.lost.result()

    def _take(self, arrival: Arrival) -> None:
        self.began = True
        self._unread.append(arrival)
        self._news.set()


async def _back_in_queue(link: Link, dead: str, count: int, within: float) -> None:
    """The broker answers to closing before they are back; whoever looks next shall find them."""
    try:
        wire = await link.channel(within=within)
    except (Lost, Refused):
        return  # they are back when the broker is
    try:
        async with asyncio.timeout(_QUIET):
            while await _count(wire, dead, within) < count:  # noqa: ASYNC110  the broker sends no word of it
                await asyncio.sleep(_MOMENT)
    except (TimeoutError, Lost):
        pass  # somebody else has taken some
    finally:
        await wire.close()


async def _count(wire: Wire, queue: str, within: float) -> int:
    return (await ask(wire.channel.queue_declare(queue, passive=True), within=within)).message_count or 0
