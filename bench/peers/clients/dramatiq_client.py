"""Dramatiq: confirmed publishes from threads, its worker's threads, acked after the actor, logs off."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Generator
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any

os.environ.setdefault("dramatiq_queue_prefetch", "500")

import dramatiq
from dramatiq.brokers.rabbitmq import RabbitmqBroker
from dramatiq.middleware import AgeLimit, Retries, ShutdownNotifications, TimeLimit

from bench.peers import threaded
from bench.peers.body import note
from bench.peers.job import EVENT_TYPE, QUEUE, Job, Result

WORKER_THREADS = 8
"""Its default."""


def run(job: Job, finish: Callable[[Result], None]) -> None:
    logging.disable(logging.CRITICAL)
    threaded.run(job, DramatiqClient(job), finish)
    os._exit(0)  # its threads end in their own time


def versions() -> dict[str, str]:
    return {name: version(name) for name in ("dramatiq", "pika")}


class QuorumBroker(RabbitmqBroker):
    """Its queue is there already, a quorum queue; for its delays it wants a queue of its own."""

    def _declare_queue(self, queue_name: str) -> Any:
        return self.channel.queue_declare(queue=queue_name, passive=True)

    def _declare_xq_queue(self, queue_name: str) -> None:
        """Dead letters have their queue too."""

    def _build_queue_arguments(self, queue_name: str) -> dict[str, Any]:
        return {**super()._build_queue_arguments(queue_name), "x-queue-type": "quorum"}


class DramatiqClient:
    """Its default middleware, less the metrics server."""

    def __init__(self, job: Job) -> None:
        middleware = [AgeLimit(), TimeLimit(), ShutdownNotifications(), Retries()]
        self._broker = QuorumBroker(url=job.url, confirm_delivery=True, middleware=middleware)
        dramatiq.set_broker(self._broker)
        self._handled: Callable[[], None] | None = None
        self._note = note(max(100, job.size - 150))

        def count(*, order_id: int, user_id: int, total: str, note: str) -> None:
            del order_id, user_id, total, note
            assert self._handled is not None  # noqa: S101
            self._handled()

        self._actor = dramatiq.actor(count, actor_name=EVENT_TYPE, queue_name=QUEUE)

    def publish(self, number: int) -> object:
        return self._actor.send(order_id=number, user_id=2, total="99.99", note=self._note)

    @contextmanager
    def consuming(self, handled: Callable[[], None]) -> Generator[None]:
        self._handled = handled
        dramatiq.Worker(self._broker, worker_threads=WORKER_THREADS).start()
        yield
