"""What one process is to do, and what it says when it has done it. Standard library only."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Literal

EXCHANGE = "events"
QUEUE = "bench.count"
EVENT_TYPE = "bench.order_placed"

Work = Literal["publish one", "publish gathered", "publish many", "consume", "both", "latency"]


@dataclass(frozen=True, slots=True)
class Job:
    """One run."""

    client: str
    """A module of `bench.peers.clients`, or "c"."""
    work: Work
    url: str
    count: int = 0
    """Events to publish, or to be handled by each subscription."""
    in_flight: int = 1000
    """Publishes at once, for those that gather."""
    threads: int = 1
    """That publish at once, for those that block."""
    prefetch: int = 500
    pool: str = ""
    """Of a Celery worker: solo, threads or prefork."""
    handler_seconds: float = 0.0
    """What the handler awaits."""
    ack_every: int = 1
    """C only: how many deliveries an ack answers."""
    store: str = ""
    """The inbox of eventbus; empty: none."""
    subscriptions: int = 1
    """Of eventbus, each with a queue of its own."""
    rate: float = 0.0
    """Events per second, for `latency`."""
    size: int = 300
    """Bytes of a message, about."""


@dataclass(frozen=True, slots=True)
class Result:
    """What was measured in the process itself, connecting and preparing left out."""

    count: int
    """Events or deliveries measured."""
    sent: int
    """All that it has published, those that warmed it up too."""
    seconds: float
    cpu: float
    """Seconds of CPU time, children of the process included."""
    latency: dict[str, float] = field(default_factory=dict[str, float])
    """Milliseconds from the call of publish to the handler: p50, p99, p99.9."""
    versions: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def rate(self) -> float:
        return self.count / self.seconds

    @property
    def cpu_each(self) -> float:
        """Microseconds."""
        return self.cpu / self.count * 1e6


def to_json(value: Job | Result) -> str:
    return json.dumps(asdict(value))


def queue_names(subscriptions: int) -> list[str]:
    return [QUEUE, *(f"{QUEUE}_{number:02d}" for number in range(1, subscriptions))]
