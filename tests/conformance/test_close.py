"""Closing, and being cancelled, in the middle of everything: nothing hangs, nothing confirmed is lost."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest

from eventbus.errors import EventBusError, SendFailed, SendFate
from tests.conformance import drive, sizes
from tests.conformance.drive import CHARGE, CHARGE_ALONE
from tests.conformance.kinds import ACROSS_PROCESSES
from tests.support.eventually import eventually

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eventbus.transport import Message, Transport
    from tests.conformance.kinds import TransportFactory

CLOSED_WITHIN = 15.0


async def test_many_consumptions_close_at_once(transport: Transport) -> None:
    await transport.apply(CHARGE_ALONE)
    sent = drive.some_messages(50)
    await drive.send(transport, *sent)
    contexts = [transport.consume(CHARGE, prefetch=2) for _ in range(sizes.CLOSED_AT_ONCE)]
    for context in contexts:
        await context.__aenter__()

    async with asyncio.timeout(CLOSED_WITHIN):
        await asyncio.gather(*(context.__aexit__(None, None, None) for context in contexts))

    async with transport.consume(CHARGE, prefetch=drive.PREFETCH) as consumption:
        assert sorted(drive.ids(await drive.collect(consumption, 50))) == sorted(drive.ids(sent))


async def test_a_transport_closes_with_consumptions_open(transport: Transport) -> None:
    await transport.apply(CHARGE_ALONE)
    await drive.send(transport, *drive.some_messages(50))
    async with AsyncExitStack() as stack:
        for _ in range(sizes.CLOSED_AT_ONCE):
            await stack.enter_async_context(transport.consume(CHARGE, prefetch=2))

        async with asyncio.timeout(CLOSED_WITHIN):
            await transport.close()


async def test_closing_the_transport_ends_an_iteration_that_waits(transport: Transport) -> None:
    await transport.apply(CHARGE_ALONE)
    async with transport.consume(CHARGE, prefetch=2) as consumption:
        waiting = asyncio.create_task(drive.take(consumption, 1, within=60))
        await asyncio.sleep(0.05)
        await transport.close()
        (ended,) = await asyncio.wait_for(asyncio.gather(waiting, return_exceptions=True), CLOSED_WITHIN)

    assert isinstance(ended, EventBusError) or "ended after 0 of 1" in str(ended)


async def test_closing_twice_is_harmless(transport: Transport) -> None:
    await transport.apply(CHARGE_ALONE)
    async with asyncio.timeout(CLOSED_WITHIN):
        await asyncio.gather(transport.close(), transport.close())
        await transport.close()


async def test_what_was_closed_can_be_opened_again(transport: Transport) -> None:
    for _ in range(2):
        await transport.apply(CHARGE_ALONE)
        sent = drive.some_messages(5)
        await drive.send(transport, *sent)
        assert drive.ids(await drive.contents(transport, CHARGE)) == drive.ids(sent)
        await transport.close()
        await transport.open()


async def test_sending_after_close_fails_and_says_that_nothing_was_sent(transport: Transport) -> None:
    await transport.apply(CHARGE_ALONE)
    await transport.close()

    with pytest.raises(SendFailed) as failure:
        await transport.send(drive.some_messages(2), timeout=2.0)

    assert failure.value.fates == (SendFate.NOT_SENT, SendFate.NOT_SENT)
    assert failure.value.sent is False


@ACROSS_PROCESSES
async def test_closing_while_sending_loses_nothing_that_was_confirmed(
    transport_factory: TransportFactory, transport: Transport
) -> None:
    await transport.apply(CHARGE_ALONE)
    fates: dict[str, SendFate] = {}
    for done_before in (0.0, 0.1, 0.5):
        sent = drive.some_messages(sizes.MESSAGES_AT_CLOSE)
        async with asyncio.timeout(sizes.PATIENCE):
            fates |= await _fates_when_closed(transport_factory.new(), sent, int(len(sent) * done_before))

    arrived = set(drive.ids(await drive.contents(transport, CHARGE)))
    assert {event_id for event_id, fate in fates.items() if fate is SendFate.CONFIRMED} <= arrived
    assert not {event_id for event_id, fate in fates.items() if fate is SendFate.NOT_SENT} & arrived


async def test_a_cancelled_send_leaves_the_transport_usable(transport: Transport) -> None:
    await transport.apply(CHARGE_ALONE)
    abandoned = drive.some_messages(500)
    for turns in (0, 1, 2, 5, 10):
        sending = asyncio.create_task(drive.send(transport, *abandoned))
        for _ in range(turns):
            await asyncio.sleep(0)
        sending.cancel()
        (ended,) = await asyncio.wait_for(asyncio.gather(sending, return_exceptions=True), CLOSED_WITHIN)
        assert ended is None or isinstance(ended, asyncio.CancelledError)

    sent = drive.some_messages(20)
    await drive.send(transport, *sent)

    arrived = drive.ids(await drive.contents(transport, CHARGE))
    assert arrived[-20:] == drive.ids(sent)
    assert set(arrived[:-20]) <= set(drive.ids(abandoned))


async def test_a_cancelled_consumer_leaves_the_transport_usable(transport: Transport) -> None:
    await transport.apply(CHARGE_ALONE)
    sent = drive.some_messages(20)
    for turns in (0, 1, 2, 5, 10, 20):
        consuming = asyncio.create_task(_consume_all(transport))
        for _ in range(turns):
            await asyncio.sleep(0)
        consuming.cancel()
        (ended,) = await asyncio.wait_for(asyncio.gather(consuming, return_exceptions=True), CLOSED_WITHIN)
        assert isinstance(ended, asyncio.CancelledError)

    await drive.send(transport, *sent)
    assert drive.ids(await drive.contents(transport, CHARGE)) == drive.ids(sent)


async def test_an_end_of_consuming_that_is_cancelled_gives_back_what_it_held(transport: Transport) -> None:
    await transport.apply(CHARGE_ALONE)
    sent = drive.some_messages(1)
    await drive.send(transport, *sent)
    for turns in (0, 1, 2, 5, 10, 20):
        holding, enough = asyncio.Event(), asyncio.Event()
        consuming = asyncio.create_task(_hold_one(transport, holding, enough))
        await asyncio.wait_for(holding.wait(), sizes.PATIENCE)
        enough.set()
        for _ in range(turns):
            await asyncio.sleep(0)
        consuming.cancel()
        await asyncio.wait({consuming})

    assert drive.ids(await drive.contents(transport, CHARGE)) == drive.ids(sent)


async def _hold_one(transport: Transport, holding: asyncio.Event, enough: asyncio.Event) -> None:
    async with transport.consume(CHARGE, prefetch=2) as consumption:
        await drive.take(consumption, 1)
        holding.set()
        await enough.wait()


async def _consume_all(transport: Transport) -> None:
    async with transport.consume(CHARGE, prefetch=2) as consumption:
        await drive.take(consumption, 1)


async def _fates_when_closed(
    transport: Transport, messages: Sequence[Message], done_before: int
) -> dict[str, SendFate]:
    """Many sends at once; the transport closes when so many messages are done with, amid the others."""
    await transport.open()
    fates: dict[str, SendFate] = {}

    async def send(part: Sequence[Message]) -> None:
        fates.update(zip(drive.ids(part), await _fates(transport, part), strict=True))

    sending = [asyncio.create_task(send(messages[n : n + 20])) for n in range(0, len(messages), 20)]
    await eventually(lambda: len(fates) >= done_before, within=sizes.PATIENCE, every=0)
    await transport.close()
    await asyncio.gather(*sending)
    return fates


async def _fates(transport: Transport, messages: Sequence[Message]) -> Sequence[SendFate]:
    try:
        await drive.send(transport, *messages)
    except SendFailed as failure:
        return failure.fates
    return [SendFate.CONFIRMED] * len(messages)
