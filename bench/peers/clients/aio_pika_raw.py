"""aio-pika with nothing around it: ready-made bytes out, a callback that acks in; no validation."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from importlib.metadata import version

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractExchange, AbstractIncomingMessage

from bench.peers import asynchronous
from bench.peers.asynchronous import Finish, Handle
from bench.peers.body import Bodies
from bench.peers.job import EVENT_TYPE, EXCHANGE, QUEUE, Job


def run(job: Job, finish: Finish) -> None:
    asynchronous.run(job, opened, finish)


def versions() -> dict[str, str]:
    return {name: version(name) for name in ("aio-pika", "aiormq", "uvloop")}


@asynccontextmanager
async def opened(job: Job) -> AsyncGenerator[RawClient]:
    """A connection for publishing and one for consuming, as RabbitMQ advises."""
    async with await aio_pika.connect(job.url) as publishing, await aio_pika.connect(job.url) as consuming:
        channel = await publishing.channel(publisher_confirms=True)
        exchange = await channel.get_exchange(EXCHANGE, ensure=False)
        yield RawClient(job, channel, exchange, consuming)


class RawClient:
    """The channel is kept for as long as its exchange is used."""

    def __init__(
        self, job: Job, channel: AbstractChannel, exchange: AbstractExchange, consuming: AbstractConnection
    ) -> None:
        self._job = job
        self._channel = channel
        self._exchange = exchange
        self._consuming = consuming
        self._body = Bodies(job.size).body

    async def publish(self, number: int) -> object:
        message = aio_pika.Message(
            self._body(number),
            content_type="application/json",
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            message_id=f"evt_{number:032d}",
            type=EVENT_TYPE,
        )
        return await self._exchange.publish(message, EVENT_TYPE, mandatory=False)

    async def publish_many(self, numbers: range) -> None:
        raise NotImplementedError

    @asynccontextmanager
    async def consuming(self, handle: Handle) -> AsyncGenerator[None]:
        async def on_message(message: AbstractIncomingMessage) -> None:
            await handle(int(str(message.message_id)[4:]))
            await message.ack()

        channel = await self._consuming.channel(publisher_confirms=False)
        await channel.set_qos(prefetch_count=self._job.prefetch)
        queue = await channel.get_queue(QUEUE, ensure=False)
        tag = await queue.consume(on_message)
        yield
        await queue.cancel(tag)
