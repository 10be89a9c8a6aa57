"""Celery: confirmed publishes from threads, late acks, no result backend, no gossip, no events, logs off."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any

import celery
from celery.signals import worker_ready
from kombu import Exchange, Queue

from bench.peers import threaded
from bench.peers.body import note
from bench.peers.job import EVENT_TYPE, EXCHANGE, QUEUE, Job, Result

CONCURRENCY = {"solo": 1, "threads": 8, "prefork": 2}
"""Prefork: a process a core of the machine that the issue was measured on."""


def run(job: Job, finish: Callable[[Result], None]) -> None:
    logging.disable(logging.CRITICAL)
    threaded.run(job, CeleryClient(job), finish)
    logging.shutdown()
    os._exit(0)  # its worker ends in its own time


def versions() -> dict[str, str]:
    return {name: version(name) for name in ("celery", "kombu", "amqp")}


class CeleryClient:
    """One app with one task."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._handled: Callable[[], None] | None = None
        self._note = note(max(100, job.size - 150))
        self._app = celery.Celery("bench", broker=job.url, backend=None, set_as_current=True)
        pool = job.pool or "solo"
        concurrency = CONCURRENCY[pool]
        self._app.conf.update(
            broker_pool_limit=job.threads + 2,
            broker_transport_options={"confirm_publish": True},
            task_acks_late=True,
            task_ignore_result=True,
            task_create_missing_queues=False,
            task_default_queue=QUEUE,
            task_default_exchange=EXCHANGE,
            task_default_routing_key=EVENT_TYPE,
            task_queues=[_queue()],
            worker_concurrency=concurrency,
            worker_enable_remote_control=False,
            worker_hijack_root_logger=False,
            worker_pool=pool,
            worker_prefetch_multiplier=max(1, job.prefetch // concurrency),
            worker_send_task_events=False,
            task_send_sent_event=False,
        )

        def count(*, order_id: int, user_id: int, total: str, note: str) -> None:
            del order_id, user_id, total, note
            assert self._handled is not None  # noqa: S101
            self._handled()

        self._task = self._app.task(count, name=EVENT_TYPE)

    def publish(self, number: int) -> object:
        data = {"order_id": number, "user_id": 2, "total": "99.99", "note": self._note}
        return self._task.apply_async(kwargs=data)

    @contextmanager
    def consuming(self, handled: Callable[[], None]) -> Generator[None]:
        self._handled = handled
        worker = self._app.Worker(
            pool=self._job.pool or "solo", without_gossip=True, without_mingle=True, without_heartbeat=True
        )
        worker_ready.connect(_keep_awake)
        threading.Thread(target=worker.start, daemon=True).start()
        yield


def _keep_awake(sender: Any, **_: object) -> None:
    """Late acks wait on Celery's event loop until it next wakes: with nothing to do that was 10 s later.

    A timer of no consequence lets the last ones out, so that the end of a run can be checked.
    """
    sender.timer.call_repeatedly(0.2, lambda: None)


def _queue() -> Queue:
    """Declared already; what kind it is decides how Celery asks for its prefetch."""
    exchange = Exchange(EXCHANGE, type="topic", no_declare=True)
    arguments = {"x-queue-type": "quorum"}
    return Queue(QUEUE, exchange, EVENT_TYPE, queue_arguments=arguments, no_declare=True)
