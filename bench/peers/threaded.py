"""The work of the clients that block: threads publish, and a worker with threads or processes consumes.

What its handlers have handled is counted in memory that processes share, and a thread looks at it.
"""

from __future__ import annotations

import multiprocessing
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

from bench.peers.job import Job, Result
from bench.peers.meter import Meter

LOOK_EVERY = 0.002
"""Seconds between looks at the counter."""


class Client(Protocol):
    """One of those compared."""

    def publish(self, number: int) -> object:
        """Return when the broker has confirmed it; any thread may call it."""
        ...

    def consuming(self, handled: Callable[[], None]) -> AbstractContextManager[object]:
        """Inside, a worker calls `handled` for each event, and acks it after."""
        ...


class Handled:
    """How many have been handled, by whichever process."""

    def __init__(self) -> None:
        self._number = multiprocessing.Value("q", 0)

    def count(self) -> None:
        with self._number.get_lock():
            self._number.value += 1

    @property
    def number(self) -> int:
        return int(self._number.value)

    def wait_for(self, count: int) -> int:
        """What it is when it is at least that."""
        while (number := self.number) < count:
            time.sleep(LOOK_EVERY)
        return number


def run(job: Job, client: Client, finish: Callable[[Result], None]) -> None:
    """All of it; `finish` is called while the worker, where there is one, still runs."""
    if job.work not in ("consume", "both"):
        finish(_publish(job, client))
        return
    handled = Handled()
    with client.consuming(handled.count):
        finish(_consume(job, handled) if job.work == "consume" else _both(job, client, handled))


def _publish(job: Job, client: Client) -> Result:
    """Each thread sends one to open its connection; then all begin together."""
    meter = Meter()
    sent = _publish_in_threads(job, client, job.threads, meter.begin)
    meter.end()
    return meter.result(job.count, sent=sent)


def _consume(job: Job, handled: Handled) -> Result:
    """Inside `consuming`."""
    meter = Meter()
    first = handled.wait_for(1)
    meter.begin()
    handled.wait_for(job.count)
    meter.end()
    return meter.result(job.count - first)


def _both(job: Job, client: Client, handled: Handled) -> Result:
    """Inside `consuming`."""
    meter = Meter()
    sent = _publish_in_threads(job, client, job.threads, meter.begin)
    handled.wait_for(sent)
    meter.end()
    return meter.result(job.count, sent=sent)


def _publish_in_threads(job: Job, client: Client, threads: int, begin: Callable[[], None]) -> int:
    """How many were sent, the first of each thread included."""
    together = threading.Barrier(threads, action=begin)
    troubles: list[Exception] = []

    def work(numbers: range) -> None:
        try:
            client.publish(0)
            together.wait(timeout=60)
            for number in numbers:
                client.publish(number)
        except Exception as error:  # noqa: BLE001 -- raised where the threads are joined
            troubles.append(error)
            together.abort()

    shares = [range(at, job.count, threads) for at in range(threads)]
    running = [threading.Thread(target=work, args=(share,)) for share in shares]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    if troubles:
        raise troubles[0]
    return job.count + threads
