"""Many publishers at once, and losses in the middle of it: every confirmed message arrives."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from eventbus.errors import SendFailed, SendFate
from tests.conformance import drive, sizes
from tests.conformance.drive import ACK, CHARGE, CHARGE_ALONE, ORDER_CREATED
from tests.conformance.kinds import ACROSS_PROCESSES
from tests.support.eventually import eventually

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from eventbus.transport import Message, Transport
    from tests.conformance.kinds import TransportFactory


async def test_everything_arrives_that_many_publishers_send(transport: Transport) -> None:
    await transport.apply(CHARGE_ALONE)
    sent = drive.some_messages(sizes.MESSAGES_UNDER_LOAD)
    async with transport.consume(CHARGE, prefetch=drive.PREFETCH) as consumption:
        receiving = asyncio.create_task(drive.collect(consumption, len(sent)))
        await _publish(transport, sent)
        received = await receiving

    assert sorted(drive.ids(received)) == sorted(drive.ids(sent))


@ACROSS_PROCESSES
async def test_everything_confirmed_arrives_in_spite_of_losses(
    transport_factory: TransportFactory, transport: Transport, tmp_path: Path
) -> None:
    await transport.apply(CHARGE_ALONE)
    sent = drive.some_messages(sizes.MESSAGES_UNDER_LOAD)
    received: set[str] = set()
    losing = asyncio.create_task(_lose(transport_factory, tmp_path))
    receiving = asyncio.create_task(_receive_into(received, transport))
    try:
        while not losing.done():
            await _publish(transport, sent)
        await losing
        await _publish(transport, sent)
        await eventually(lambda: set(drive.ids(sent)) <= received, within=sizes.PATIENCE * 2, every=0.1)
    finally:
        losing.cancel()
        receiving.cancel()
        await asyncio.gather(losing, receiving, return_exceptions=True)


@ACROSS_PROCESSES
async def test_what_a_killed_publisher_had_confirmed_arrives(
    transport_factory: TransportFactory, transport: Transport, tmp_path: Path
) -> None:
    await transport.apply(CHARGE_ALONE)
    async with transport_factory.process("send", ORDER_CREATED, log=tmp_path / "publisher.log") as publisher:
        await publisher.says_lines(100, within=sizes.PATIENCE)
        await publisher.kill()

    arrived = set(drive.ids(await drive.contents(transport, CHARGE)))
    assert set(publisher.said) <= arrived


async def _publish(transport: Transport, messages: Sequence[Message]) -> None:
    """By many publishers, each of which sends again what was not confirmed, until it is."""
    share = -(-len(messages) // sizes.PUBLISHERS)
    async with asyncio.timeout(sizes.PATIENCE * 2):
        await asyncio.gather(
            *(_until_confirmed(transport, messages[n : n + share]) for n in range(0, len(messages), share))
        )


async def _until_confirmed(transport: Transport, messages: Sequence[Message]) -> None:
    while messages:
        try:
            await drive.send(transport, *messages[:10])
        except SendFailed as failure:
            fates = zip(messages[:10], failure.fates, strict=True)
            messages = [m for m, fate in fates if fate is not SendFate.CONFIRMED] + list(messages[10:])
            await asyncio.sleep(0.05)
        else:
            messages = messages[10:]


async def _receive_into(received: set[str], transport: Transport) -> None:
    async with transport.consume(CHARGE, prefetch=drive.PREFETCH) as consumption:
        async for batch in consumption:
            received.update(drive.ids(batch))
            await drive.settle(consumption, batch, ACK)


async def _lose(transport_factory: TransportFactory, directory: Path) -> None:
    """RabbitMQ: the connections are closed. A file: another process is killed while it sends to it."""
    for n in range(sizes.LOSSES_UNDER_LOAD):
        if transport_factory.name == "rabbitmq":
            await transport_factory.cut()
            continue
        log = directory / f"lost-{n}.log"
        async with transport_factory.process("send", ORDER_CREATED, log=log) as lost:
            await lost.says_lines(1, within=sizes.PATIENCE)
