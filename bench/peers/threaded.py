"""The work of the clients that block: threads publish, and a worker with threads or processes consumes.

What its handlers have handled is counted in memory that processes share, and a thread looks at it.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

from bench.peers.job import Job, Result
from bench.peers.meter import Meter, tree_cpu_seconds

LOOK_EVERY = 0.01
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
    """How many have been handled, by whichever process.

    The handlers themselves take the time: a thread that watched the counter would be late by however long it
    waits for the interpreter.
    """

    def __init__(self, wanted: int) -> None:
        self._wanted = wanted
        self._root = os.getpid()
        self._number = multiprocessing.Value("q", 0)
        self._stamps = multiprocessing.Array("d", 4, lock=False)

    def count(self) -> None:
        """The first begins the time and is not counted, as in `Tally`; the last ends it."""
        with self._number.get_lock():
            self._number.value += 1
            if self._number.value == 1:
                self._stamps[0] = tree_cpu_seconds(self._root)
                self._stamps[1] = time.monotonic()
            elif self._number.value == self._wanted:
                self._stamps[3] = time.monotonic()
                self._stamps[2] = tree_cpu_seconds(self._root)

    def wait(self) -> None:
        """Until all that is wanted has been handled."""
        while not self._stamps[2]:
            time.sleep(LOOK_EVERY)

    def result(self) -> Result:
        cpu_began, began, cpu_ended, ended = self._stamps
        return Result(self._wanted - 1, 0, ended - began, cpu_ended - cpu_began)


def run(job: Job, client: Client, finish: Callable[[Result], None]) -> None:
    """All of it; `finish` is called while the worker, where there is one, still runs."""
    if job.work not in ("consume", "both"):
        finish(_publish(job, client))
        return
    handled = Handled(job.count if job.work == "consume" else job.count + job.threads)
    with client.consuming(handled.count):
        if job.work == "both":
            finish(_both(job, client, handled))
            return
        handled.wait()
        finish(handled.result())


def _publish(job: Job, client: Client) -> Result:
    """Each thread sends one to open its connection; then all begin together."""
    meter = Meter()
    sent = _publish_in_threads(job, client, job.threads, meter.begin)
    meter.end()
    return meter.result(job.count, sent=sent)


def _both(job: Job, client: Client, handled: Handled) -> Result:
    """Inside `consuming`."""
    meter = Meter()
    sent = _publish_in_threads(job, client, job.threads, meter.begin)
    handled.wait()
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
