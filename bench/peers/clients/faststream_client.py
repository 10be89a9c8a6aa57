"""FastStream: a pydantic model out and in, acked after the handler, logs off."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from importlib.metadata import version

from faststream import AckPolicy
from faststream.rabbit import Channel, RabbitBroker, RabbitExchange, RabbitQueue
from faststream.rabbit.schemas import ExchangeType
from pydantic import BaseModel

from bench.peers import asynchronous
from bench.peers.asynchronous import Finish, Handle
from bench.peers.body import note
from bench.peers.job import EVENT_TYPE, EXCHANGE, QUEUE, Job


class Order(BaseModel):
    """What happened."""

    order_id: int
    user_id: int
    total: Decimal
    note: str


class Event(BaseModel):
    """The same JSON that eventbus sends."""

    event_id: str
    event_type: str
    timestamp: datetime
    version: str
    source: str
    data: Order


def run(job: Job, finish: Finish) -> None:
    asynchronous.run(job, opened, finish)


def versions() -> dict[str, str]:
    return {name: version(name) for name in ("faststream", "aio-pika", "pydantic", "orjson", "uvloop")}


@asynccontextmanager
async def opened(job: Job) -> AsyncGenerator[FastStreamClient]:
    broker = RabbitBroker(job.url, logger=None, default_channel=Channel(prefetch_count=job.prefetch))
    client = FastStreamClient(broker, job)
    if job.work in ("consume", "both", "latency"):
        yield client  # it connects when its subscribers are known
        return
    async with broker:
        yield client


class FastStreamClient:
    """One broker object."""

    def __init__(self, broker: RabbitBroker, job: Job) -> None:
        self._broker = broker
        self._note = note(job.size)
        self._exchange = RabbitExchange(EXCHANGE, type=ExchangeType.TOPIC, declare=False)
        self._publisher = broker.publisher(
            exchange=self._exchange, routing_key=EVENT_TYPE, persist=True, mandatory=False
        )

    async def publish(self, number: int) -> object:
        event = Event(
            event_id=f"evt_{number:032d}",
            event_type=EVENT_TYPE,
            timestamp=datetime.now(UTC),
            version="1.0",
            source="bench",
            data=Order(order_id=number, user_id=2, total=Decimal("99.99"), note=self._note),
        )
        return await self._publisher.publish(event)

    async def publish_many(self, numbers: range) -> None:
        raise NotImplementedError

    @asynccontextmanager
    async def consuming(self, handle: Handle) -> AsyncGenerator[None]:
        @self._broker.subscriber(
            RabbitQueue(QUEUE, declare=False, routing_key=EVENT_TYPE), ack_policy=AckPolicy.NACK_ON_ERROR
        )
        async def count(event: Event) -> None:
            await handle(event.data.order_id)

        async with self._broker:
            await self._broker.start()
            yield
