"""Who does what: each case is one piece of work, done by several sides in turn."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from bench.peers.job import Job

RAW = "raw aio-pika"
C = "C client"

ONE = "publish one by one"
MANY = "publish, 1000 in flight"
CONSUME = "consume and ack"
WAITING = "consume, the handler awaits 1 ms"
BOTH = "publish and consume at once"
LATENCY = "latency at {rate} events/s"
SUBSCRIPTIONS = "eventbus with several subscriptions"
RATES = (100, 500, 5000)


@dataclass(frozen=True, slots=True)
class Side:
    """One client in one of its ways."""

    name: str
    job: Job
    history: bool = False
    """Whether the stream of the namespace gets every event too."""


@dataclass(frozen=True, slots=True)
class Case:
    """Sides whose figures are compared with those of `against`, round by round."""

    title: str
    against: str
    sides: tuple[Side, ...]
    rate: int = 0
    """Events per second, where the case is about latency."""
    stores: frozenset[str] = field(default=frozenset())
    """Servers that it needs."""


def _side(name: str, client: str, **choices: object) -> Side:
    return Side(name, replace(Job(client, "consume", ""), **choices))  # type: ignore[arg-type]


def publish_one() -> Case:
    sides = (
        _side("eventbus", "eventbus"),
        _side(RAW, "aio_pika_raw"),
        _side(C, "c"),
        _side("FastStream", "faststream_client"),
        _side("taskiq", "taskiq_client"),
        _side("Dramatiq", "dramatiq_client"),
        _side("Celery", "celery_client"),
    )
    return Case(ONE, RAW, tuple(replace(side, job=replace(side.job, work="publish one")) for side in sides))


def publish_many(threads: tuple[int, ...] = (16, 64), *, history: bool = False) -> Case:
    sides = [
        _side("eventbus, publish_many", "eventbus", work="publish many"),
        _side("eventbus, gathered", "eventbus", work="publish gathered"),
        _side(RAW, "aio_pika_raw", work="publish gathered"),
        _side(C, "c", work="publish gathered"),
        _side("FastStream", "faststream_client", work="publish gathered"),
        _side("taskiq", "taskiq_client", work="publish gathered"),
        *(
            _side(f"{name}, {many} threads", client, work="publish gathered", threads=many)
            for name, client in (("Dramatiq", "dramatiq_client"), ("Celery", "celery_client"))
            for many in threads
        ),
    ]
    if history:
        sides.append(replace(sides[0], name="eventbus, publish_many, with history", history=True))
    return Case(MANY, RAW, tuple(sides))


def consume(
    stores: tuple[str, ...] = ("memory", "SQLite"), pools: tuple[str, ...] = ("solo", "threads", "prefork")
) -> Case:
    sides = (
        _side("eventbus, no inbox", "eventbus"),
        *(_side(f"eventbus, inbox in {store}", "eventbus", store=store) for store in stores),
        _side(RAW, "aio_pika_raw"),
        _side(C, "c"),
        _side(f"{C}, acks by 50", "c", ack_every=50),
        _side("FastStream", "faststream_client"),
        _side("taskiq", "taskiq_client"),
        _side("Dramatiq, 8 threads", "dramatiq_client"),
        *(_side(f"Celery, {pool}", "celery_client", pool=pool) for pool in pools),
    )
    return Case(CONSUME, RAW, sides, stores=frozenset(stores))


def consume_waiting() -> Case:
    sides = (
        _side("eventbus, inbox in memory", "eventbus", store="memory"),
        _side(RAW, "aio_pika_raw"),
        _side("FastStream", "faststream_client"),
        _side("taskiq", "taskiq_client"),
    )
    waiting = tuple(replace(side, job=replace(side.job, handler_seconds=0.001)) for side in sides)
    return Case(WAITING, RAW, waiting)


def both() -> Case:
    sides = (
        _side("eventbus", "eventbus", store="memory"),
        _side(RAW, "aio_pika_raw"),
        _side("FastStream", "faststream_client"),
        _side("taskiq", "taskiq_client"),
        _side("Dramatiq", "dramatiq_client", threads=16),
        _side("Celery", "celery_client", threads=16, pool="solo"),
    )
    return Case(BOTH, RAW, tuple(replace(side, job=replace(side.job, work="both")) for side in sides))


def latency(rate: int) -> Case:
    sides = (
        _side("eventbus", "eventbus", store="memory"),
        _side(RAW, "aio_pika_raw"),
        _side("FastStream", "faststream_client"),
    )
    at_rate = tuple(replace(side, job=replace(side.job, work="latency", rate=rate)) for side in sides)
    return Case(LATENCY.format(rate=rate), RAW, at_rate, rate=rate)


def subscriptions() -> Case:
    """Deliveries a second where it consumes: one event is as many deliveries as there are subscriptions."""
    sides = tuple(
        _side(f"{work}, {count} subscriptions", "eventbus", work=work, subscriptions=count)
        for work in ("publish many", "consume")
        for count in (1, 3, 30)
    )
    return Case(SUBSCRIPTIONS, sides[0].name, sides)


def quick() -> list[Case]:
    """Each of them once in what it is used for."""
    return [publish_many(threads=(16,)), consume(("memory",), ("solo",)), latency(500)]


def peers() -> list[Case]:
    """The table of the README."""
    return [publish_one(), publish_many(), consume(), consume_waiting(), both(), latency(500)]


def everything() -> list[Case]:
    return [
        publish_one(),
        publish_many(history=True),
        consume(("memory", "SQLite", "PostgreSQL", "Redis")),
        consume_waiting(),
        both(),
        *map(latency, RATES),
        subscriptions(),
    ]
