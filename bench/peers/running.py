"""One job in a process of its own, and the checks before and after it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench.peers.broker import BenchBroker
from bench.peers.job import EVENT_TYPE, EXCHANGE, QUEUE, Job, Result, Work, queue_names, to_json
from bench.peers.rounds import Unavailable

ROOT = Path(__file__).parents[2]
PEERS_PYTHON = ROOT / ".venv-peers" / "bin" / "python"
OUR_OWN = frozenset({"eventbus", "aio_pika_raw"})
"""Clients that run in the environment of the project."""
WITHIN = 300.0
"""Seconds for one run."""
LINGER = 0.6
"""Seconds between the last event handled and the end of its process: its ack is on its way."""
CONSUMES = frozenset({"consume", "both", "latency"})


class RunFailed(RuntimeError):
    """A process failed, or the broker does not hold what it should after it."""


@dataclass
class Runner:
    """Runs jobs one after another."""

    broker: BenchBroker
    c_client: Path | str
    """The program, or why there is none."""
    _samples: dict[tuple[str, int], bytes] = field(default_factory=dict[tuple[str, int], bytes])

    def run(self, job: Job, *, history: bool = False, bindings: int = 1, waiting: int = 0) -> Result:
        """Make everything fresh, fill what is to be consumed, run, and check the end.

        `waiting`: messages that lie in the queue before the job's own.
        """
        message = self._sample(job) if waiting or job.work == "consume" else b""
        self.broker.make_fresh(job.subscriptions, history=history, bindings=bindings)
        filled = waiting + (job.count if job.work == "consume" else 0)
        if filled:
            self.broker.fill(message, filled, job.subscriptions)
        self.broker.wait_until_idle()
        [result] = self.in_processes([job])
        self._check(job, result, waiting)
        return result

    def run_side_by_side(self, job: Job, workers: int) -> list[Result]:
        """So many processes consume from one queue, `job.count` events each; none runs out before the last.

        Who has counted to the end goes on until all have, so that no part of the time is that of fewer.
        """
        message = self._sample(job)
        self.broker.make_fresh()
        filled = 2 * workers * job.count
        self.broker.fill(message, filled)
        self.broker.wait_until_idle()
        results = self.in_processes([job] * workers)
        if (depth := self.broker.depth()) > filled - workers * job.count:
            raise RunFailed(f"{QUEUE} holds {depth} messages, although {workers} x {job.count} were handled")
        return results

    def _check(self, job: Job, result: Result, waiting: int) -> None:
        """All that was published is there; all that was handled is gone."""
        if job.work not in CONSUMES:
            for queue in queue_names(job.subscriptions):
                self.broker.wait_for_depth(waiting + result.sent, queue)
        elif not waiting:
            for queue in queue_names(job.subscriptions):
                self.broker.wait_for_depth(0, queue)
        elif (depth := self.broker.depth()) > waiting:  # the consumer goes on after the last one that counts
            raise RunFailed(f"{QUEUE} holds {depth} messages and should hold at most {waiting}")

    def in_processes(self, jobs: list[Job]) -> list[Result]:
        """Side by side; they stop when all have said what they measured."""
        processes = [_Process(self._command(replace(job, url=self.broker.url))) for job in jobs]
        try:
            results = [process.result() for process in processes]
            time.sleep(LINGER)
            return results
        finally:
            for process in processes:
                process.end()

    def _sample(self, job: Job) -> bytes:
        """One message of this client, as it sends it."""
        key = (job.client, job.size)
        if key not in self._samples:
            self.broker.make_fresh()
            work: Work = "publish gathered"
            self.in_processes([Job(job.client, work, "", count=1, in_flight=1, size=job.size)])
            self._samples[key] = self.broker.sample()
        return self._samples[key]

    def _command(self, job: Job) -> list[str]:
        if job.client == "c":
            return self._c_command(job)
        python = sys.executable if job.client in OUR_OWN else str(PEERS_PYTHON)
        return [python, "-m", "bench.peers.client", to_json(job)]

    def _c_command(self, job: Job) -> list[str]:
        if isinstance(self.c_client, str):
            raise Unavailable(self.c_client)
        words: list[object]
        if job.work == "consume":
            words = ["consume", job.url, QUEUE, job.count, job.prefetch, job.ack_every]
        else:
            in_flight = 1 if job.work == "publish one" else job.in_flight
            words = ["publish", job.url, EXCHANGE, EVENT_TYPE, job.count, in_flight, job.size]
        return [str(self.c_client), *map(str, words)]


class _Process:
    """One that says a line and ends when its input does."""

    def __init__(self, command: list[str]) -> None:
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115 -- closed by `end`
        self._process = subprocess.Popen(  # noqa: S603 -- our own program
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
            cwd=ROOT,
            env={name: value for name, value in os.environ.items() if not name.startswith("EVENTBUS_")},
            start_new_session=True,  # Celery's pool ends with it
        )
        self._limit = threading.Timer(WITHIN, self._process.kill)
        self._limit.start()

    def result(self) -> Result:
        """What it measured; raises `RunFailed` with its last words."""
        assert self._process.stdout is not None  # noqa: S101
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            self._complaints.seek(0)
            words = self._complaints.read().decode(errors="replace")[-3000:]
            raise RunFailed(f"{' '.join(map(str, self._process.args))} said nothing:\n{words}")  # type: ignore[arg-type]
        return Result(**json.loads(line))

    def end(self) -> None:
        """Returns when it, and all that it has started, is gone."""
        assert self._process.stdin is not None  # noqa: S101
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._limit.cancel()
        self._complaints.close()
