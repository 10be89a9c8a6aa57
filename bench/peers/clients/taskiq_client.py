"""taskiq on taskiq-aio-pika: a model as argument, acked after the task, no results, logs off."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from importlib.metadata import version

from pydantic import BaseModel
from taskiq.acks import AcknowledgeType
from taskiq.api import run_receiver_task
from taskiq.serializers import ORJSONSerializer
from taskiq_aio_pika import AioPikaBroker, Exchange, Queue

from bench.peers import asynchronous
from bench.peers.asynchronous import Finish, Handle
from bench.peers.body import note
from bench.peers.job import EVENT_TYPE, EXCHANGE, QUEUE, Job


class Order(BaseModel):
    """The argument of the task; type, id and time of an event are taskiq's own."""

    order_id: int
    user_id: int
    total: Decimal
    note: str
    timestamp: datetime


def run(job: Job, finish: Finish) -> None:
    logging.getLogger("taskiq").setLevel(logging.ERROR)
    asynchronous.run(job, opened, finish)


def versions() -> dict[str, str]:
    return {
        name: version(name)
        for name in ("taskiq", "taskiq-aio-pika", "aio-pika", "pydantic", "orjson", "uvloop")
    }


@asynccontextmanager
async def opened(job: Job) -> AsyncGenerator[TaskiqClient]:
    broker = AioPikaBroker(
        job.url,
        qos=job.prefetch,
        exchange=Exchange(name=EXCHANGE, declare=False),
        task_queues=[Queue(name=QUEUE, routing_key=EVENT_TYPE, declare=False)],
        dead_letter_queue=Queue(name=QUEUE, declare=False),
    ).with_serializer(ORJSONSerializer())
    broker.is_worker_process = job.work in ("consume", "both", "latency")
    client = TaskiqClient(broker, job)
    await broker.startup()
    yield client
    await broker.shutdown()


class TaskiqClient:
    """One broker object with one task."""

    def __init__(self, broker: AioPikaBroker, job: Job) -> None:
        self._broker = broker
        self._job = job
        self._note = note(max(100, job.size - 120))
        self._handle: Handle | None = None

        async def count(order: Order) -> None:
            assert self._handle is not None  # noqa: S101
            await self._handle(order.order_id)

        self._task = broker.register_task(count, task_name=EVENT_TYPE)

    async def publish(self, number: int) -> object:
        order = Order(
            order_id=number,
            user_id=2,
            total=Decimal("99.99"),
            note=self._note,
            timestamp=datetime.now(UTC),
        )
        return await self._task.kiq(order)

    async def publish_many(self, numbers: range) -> None:
        raise NotImplementedError

    @asynccontextmanager
    async def consuming(self, handle: Handle) -> AsyncGenerator[None]:
        self._handle = handle
        receiving = asyncio.create_task(
            run_receiver_task(
                self._broker,
                max_async_tasks=self._job.prefetch,
                ack_time=AcknowledgeType.WHEN_EXECUTED,
                validate_params=True,
            )
        )
        yield
        receiving.cancel()
        await asyncio.gather(receiving, return_exceptions=True)
