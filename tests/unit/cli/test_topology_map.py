from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Annotated, Any

import pytest

from eventbus import Batch, Envelope, Event, RetryPolicy, Service, subscribe
from eventbus.cli.output import show
from eventbus.cli.topology_map import draw_map, published_by
from eventbus.cli.topology_view import as_json, as_tree
from eventbus.registry import Registry


class Created(Event, type="order.created", version="1.2"):
    pass


class Captured(Event, type="payment.captured"):
    pass


class Declined(Event, type="payment.declined"):
    pass


class Part(Event):
    pass


def nothing(event: dict) -> None: ...
def unannotated(event): ...
def one(event: dict) -> Captured: ...
def optional(event: dict) -> Captured | None: ...
def either(event: dict) -> Captured | Declined | None: ...
def many(event: dict) -> list[Captured | Declined]: ...
def several(event: dict) -> tuple[Captured, Declined]: ...
def enveloped(event: dict) -> Envelope[Captured]: ...
def annotated(event: dict) -> Annotated[Sequence[Captured] | None, "why"]: ...
def part(event: dict) -> Part | Event: ...
def unknown_to_all(event: dict) -> Nowhere: ...  # type: ignore[name-defined]  # noqa: F821


class Charge:
    async def __call__(self, event: dict) -> Captured: ...


@pytest.mark.parametrize(
    ("function", "published"),
    [
        (nothing, []),
        (unannotated, []),
        (one, [Captured]),
        (optional, [Captured]),
        (either, [Captured, Declined]),
        (many, [Captured, Declined]),
        (several, [Captured, Declined]),
        (enveloped, [Captured]),
        (annotated, [Captured]),
        (part, []),
        (unknown_to_all, []),
        (Charge(), [Captured]),
        (functools.partial(one), [Captured]),
    ],
)
def test_what_a_handler_publishes_is_what_its_return_annotation_says(function: Any, published: list[type]):
    assert published_by(function) == published


@subscribe(Created, retry=RetryPolicy(max_attempts=3), timeout=5, concurrency=7)
async def charge(event: Created) -> Captured | Declined: ...


@subscribe("payment.*", retry=RetryPolicy(max_attempts=1), batch=Batch(size=10))
async def mail(events: list[dict[str, Any]]) -> None: ...


@subscribe("refund.#")
async def audit(event: dict) -> None: ...


payment = Service("payment", [charge])
email = Service("email", [mail, audit])


def test_events_stand_along_the_flow_with_who_publishes_and_who_gets_them():
    drawn = draw_map("events", [email, payment], Registry())

    assert [
        (event.topic, event.version, event.published_by, [queue.name for queue in event.queues])
        for event in drawn.events
    ] == [
        ("order.created", "1.2", (), ["payment.charge"]),
        ("refund.#", None, (), ["email.audit"]),
        ("payment.captured", "1.0", ("payment.charge",), ["email.mail"]),
        ("payment.declined", "1.0", ("payment.charge",), ["email.mail"]),
    ]


def test_a_pattern_is_told_apart_by_the_classes_that_are_known():
    class Refunded(Event, type="refund.paid"):
        pass

    drawn = draw_map("events", [email], Registry([Refunded, Created]))

    topics = [event.topic for event in drawn.events]
    assert "refund.paid" in topics
    assert "refund.#" not in topics
    assert "order.created" not in topics


def test_services_that_answer_each_other_are_drawn_once():
    @subscribe("a.b")
    async def ping(event: dict) -> Captured: ...

    @subscribe(Captured)
    async def pong(event: Captured) -> Created: ...

    @subscribe(Created)
    async def again(event: Created) -> Captured: ...

    drawn = draw_map("events", [Service("loop", [ping, pong, again])], Registry())

    assert [event.topic for event in drawn.events] == ["a.b", "payment.captured", "order.created"]


def test_the_tree_says_how_each_handler_is_run_once(capsys: pytest.CaptureFixture[str]):
    show(as_tree(draw_map("events", [payment, email], Registry())))

    drawn = capsys.readouterr().out
    assert "published outside these services → order.created 1.2" in drawn
    assert drawn.count("3 attempts, after 2, 4 s · timeout 5 s · 7 at a time") == 1
    assert "publishes payment.captured, payment.declined" in drawn
    assert "payment.charge → payment.captured 1.0" in drawn
    assert drawn.count("email.mail (by payment.*) → ") == 2
    assert drawn.count("1 attempt · timeout 30 s · 20 at a time · batches of 10") == 1


def test_an_event_without_subscribers_says_so(capsys: pytest.CaptureFixture[str]):
    show(as_tree(draw_map("events", [payment], Registry())))

    assert capsys.readouterr().out.count("nobody here subscribes to it") == 2


def test_programs_get_each_queue_once():
    drawn = as_json(draw_map("shop", [payment, email], Registry()))

    assert drawn["exchange"] == "shop"
    queues = drawn["queues"]
    assert isinstance(queues, list)
    assert sorted(queue["queue"] for queue in queues) == ["email.audit", "email.mail", "payment.charge"]
    assert next(queue for queue in queues if queue["queue"] == "payment.charge") == {
        "queue": "payment.charge",
        "service": "payment",
        "handler": f"{__name__}.charge",
        "patterns": ["order.created"],
        "publishes": ["payment.captured", "payment.declined"],
        "retry": {"max_attempts": 3, "first": 2.0, "backoff": 2.0, "maximum": 600.0},
        "timeout": 5,
        "concurrency": 7,
        "prefetch": 14,
        "batch": None,
    }
