"""What a client feels of each fault. The broker is an echo: it answers each frame with the same frame."""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from tests.support.fault_proxy import FaultProxy, Method, Way

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
ACK = struct.pack(">BHIHHQBB", 1, 1, 13, 60, 80, 7, 0, 0xCE)
OTHER = struct.pack(">BHIHHQBB", 1, 1, 13, 60, 81, 7, 0, 0xCE)


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError, asyncio.IncompleteReadError):
        await reader.readexactly(8)
        while part := await reader.read(1000):
            writer.write(part)
            await writer.drain()
    writer.close()


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[FaultProxy, Streams]]:
    echo = await asyncio.start_server(_echo, "127.0.0.1", 0)
    port = echo.sockets[0].getsockname()[1]
    try:
        async with FaultProxy.between(f"amqp://guest:guest@127.0.0.1:{port}/") as (proxy, url):
            assert url == f"amqp://guest:guest@127.0.0.1:{proxy.port}/"
            streams = await asyncio.open_connection("127.0.0.1", proxy.port)
            streams[1].write(b"AMQP\0\0\x09\x01" + OTHER)
            await hears(streams, OTHER)
            yield proxy, streams
            streams[1].close()
    finally:
        echo.close()


async def hears(streams: Streams, frame: bytes) -> None:
    async with asyncio.timeout(5):
        assert await streams[0].readexactly(len(frame)) == frame


async def hears_nothing(streams: Streams) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await streams[0].read(1)


async def test_a_cut_is_a_reset_unless_it_is_gentle() -> None:
    async with connected() as (proxy, streams):
        proxy.cut()
        with pytest.raises(ConnectionResetError):
            await streams[0].read()
    async with connected() as (proxy, streams):
        proxy.cut(gently=True)
        assert await streams[0].read() == b""


async def test_a_black_hole_takes_everything_and_gives_nothing() -> None:
    async with connected() as (proxy, streams):
        proxy.black_hole()
        streams[1].write(ACK)
        await hears_nothing(streams)
        proxy.heal()
        with pytest.raises(ConnectionResetError):
            await streams[0].read()


async def test_a_stall_fills_the_pipe_and_ends_with_nothing_lost() -> None:
    async with connected() as (proxy, streams):
        proxy.stall(Way.UP)
        many = (
            struct.pack(">BHI", 3, 1, 60_000) + bytes(60_000) + b"\xce"
        ) * 200  # more than the buffers of both sides
        writing = asyncio.create_task(_write(streams[1], many))
        reading = asyncio.create_task(streams[0].readexactly(len(many)))
        await asyncio.wait({writing}, timeout=0.3)
        assert not writing.done()
        proxy.heal()
        async with asyncio.timeout(30):
            assert await reading == many
        await writing


async def _write(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(data)
    await writer.drain()


async def test_delay_and_throttle_take_their_time() -> None:
    async with connected() as (proxy, streams):
        proxy.delay(0.1)
        assert await _seconds_for_one(streams) >= 0.1
        proxy.heal()
        proxy.throttle(Way.DOWN, 10 * len(OTHER))
        assert await _seconds_for_one(streams) >= 0.1


async def _seconds_for_one(streams: Streams) -> float:
    began = time.monotonic()
    streams[1].write(OTHER)
    await hears(streams, OTHER)
    return time.monotonic() - began


async def test_one_frame_is_lost_and_those_around_it_arrive() -> None:
    async with connected() as (proxy, streams):
        lost = proxy.lose_next(Way.DOWN, Method.ACK)
        streams[1].write(OTHER + ACK + OTHER + ACK)
        await hears(streams, OTHER + OTHER + ACK)
        assert lost.done()


async def test_half_a_frame_arrives_and_then_the_end() -> None:
    async with connected() as (proxy, streams):
        halved = proxy.halve_next(Way.DOWN, Method.ACK)
        streams[1].write(ACK)
        async with asyncio.timeout(5):
            await halved
            with suppress(ConnectionResetError):
                assert ACK.startswith(await streams[0].read())
                await streams[0].read()
        assert streams[0].at_eof() or streams[0].exception() is not None


async def test_it_cuts_after_so_many_bytes() -> None:
    async with connected() as (proxy, streams):
        proxy.cut_after(Way.UP, len(OTHER) + 3)
        streams[1].write(OTHER + OTHER)
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await streams[0].readexactly(2 * len(OTHER))


async def test_what_connects_while_the_broker_is_away_is_cut_off() -> None:
    async with FaultProxy.between("amqp://guest:guest@127.0.0.1:1/") as (proxy, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        with suppress(ConnectionResetError):
            assert await reader.read() == b""
        writer.close()
        assert proxy.accepted == 1
