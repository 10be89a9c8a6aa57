from __future__ import annotations

import functools
import math
from datetime import UTC, datetime
from typing import Any

import pytest

from eventbus import Batch, Event, RetryPolicy, Subscription, subscribe
from eventbus.errors import ConfigurationError, InvalidSubscription


class OrderCreated(Event, type="order.created"):
    order_id: int


class Nameless(Event):
    pass


class Shop:
    async def handle(self, event: OrderCreated) -> int:
        return event.order_id


class Audit:
    async def __call__(self, event: OrderCreated) -> None:
        pass


def add(event: OrderCreated, by: int = 1) -> int:
    """Add one."""
    return event.order_id + by


def refused(*topics: Any, function: Any = add, **options: Any) -> InvalidSubscription:
    with pytest.raises(InvalidSubscription) as caught:
        subscribe(*topics, **options)(function)
    return caught.value


def test_the_marked_function_is_called_as_before():
    assert subscribe(OrderCreated)(add)(OrderCreated(order_id=1), by=2) == 3


async def test_a_marked_coroutine_function_is_awaited_as_before():
    @subscribe(OrderCreated)
    async def double(event: OrderCreated) -> int:
        return 2 * event.order_id

    assert await double(OrderCreated(order_id=4)) == 8


def test_the_marked_function_keeps_its_name_and_its_documentation():
    marked = subscribe(OrderCreated)(add)
    assert (marked.__name__, marked.__doc__, marked.__module__) == ("add", "Add one.", __name__)  # type: ignore[attr-defined]
    assert marked.__wrapped__ is add  # type: ignore[attr-defined]


def test_without_options_the_defaults_of_the_contract_hold():
    marked = subscribe(OrderCreated)(add)
    assert isinstance(marked, Subscription)
    assert (marked.name, marked.timeout, marked.concurrency, marked.prefetch) == ("add", 30.0, 20, 40)
    assert (marked.batch, marked.start, marked.on_replay, marked.deduplicate) == (None, "new", "run", True)
    assert marked.retry == RetryPolicy()


def test_every_option_is_kept():
    policy = RetryPolicy(max_attempts=2)
    marked = subscribe(
        "order.*",
        name="other",
        retry=policy,
        timeout=5,
        concurrency=3,
        prefetch=7,
        on_replay="skip",
        deduplicate=False,
    )(add)
    assert (marked.name, marked.retry, marked.timeout) == ("other", policy, 5)
    assert (marked.concurrency, marked.prefetch, marked.on_replay, marked.deduplicate) == (
        3,
        7,
        "skip",
        False,
    )


def test_a_batch_is_handed_over_twice_in_advance():
    assert subscribe(OrderCreated, batch=Batch(size=100))(add).prefetch == 200


def test_classes_and_patterns_become_patterns_each_once():
    marked = subscribe(OrderCreated, "order.*", "order.created", "payment.#")(add)
    assert marked.patterns == ("order.created", "order.*", "payment.#")


def test_several_subscriptions_can_share_one_function():
    assert {subscribe(OrderCreated, name=name)(add).name for name in ("a", "b")} == {"a", "b"}


def test_a_subscription_can_be_in_a_set():
    marked = subscribe(OrderCreated)(add)
    assert len({marked, marked}) == 1


def test_a_subscription_without_a_topic_is_refused():
    assert "it names no event" in str(refused())


@pytest.mark.parametrize("topic", [Event, Nameless, dict, 7, None, OrderCreated(order_id=1), Shop])
def test_what_is_neither_a_pattern_nor_an_event_class_is_refused(topic: object):
    assert '@subscribe(OrderCreated) or @subscribe("order.*")' in str(refused(topic))


def test_the_decorator_needs_its_parentheses():
    with pytest.raises(
        InvalidSubscription, match=r"'add': @subscribe has no parentheses. Write @subscribe\("
    ):
        subscribe(add)  # type: ignore[arg-type]


@pytest.mark.parametrize("pattern", ["", "Order.created", "order..*", "order.**"])
def test_a_pattern_that_can_never_match_is_refused(pattern: str):
    with pytest.raises(ConfigurationError, match="is no binding pattern"):
        subscribe(pattern)(add)


@pytest.mark.parametrize("name", ["", "a.b", "a b", "1a", "-a", "a/b", "ä", "\u212a", "a\n", "a*"])
def test_a_name_that_cannot_be_part_of_a_queues_name_is_refused(name: str):
    assert "its name is part of a queue's name" in str(refused(OrderCreated, name=name))


def test_a_queue_is_not_named_as_those_of_dead_letters_are():
    assert "that of dead letters" in str(refused(OrderCreated, name="dead"))


@pytest.mark.parametrize("nameless", [lambda event: None, functools.partial(add, by=2), Audit()])
def test_a_handler_without_a_name_of_its_own_needs_one(nameless: Any):
    assert "Give it one: name=" in str(refused(OrderCreated, function=nameless))
    assert subscribe(OrderCreated, name="named")(nameless).name == "named"


async def test_a_method_of_an_object_can_be_a_handler():
    marked = subscribe(OrderCreated)(Shop().handle)
    assert marked.name == "handle"
    assert await marked(OrderCreated(order_id=7)) == 7


def test_a_function_is_marked_once():
    error = refused("order.paid", function=subscribe(OrderCreated)(add))
    assert "is marked already" in str(error)
    assert "name all topics in one @subscribe" in str(error)


@pytest.mark.parametrize("thing", [None, 7, "add", OrderCreated(order_id=1)])
def test_what_cannot_be_called_cannot_be_a_handler(thing: object):
    assert "cannot be called" in str(refused(OrderCreated, function=thing, name="thing"))


@pytest.mark.parametrize(
    "options",
    [
        {"timeout": 0},
        {"timeout": -1},
        {"timeout": math.nan},
        {"concurrency": 0},
        {"concurrency": -1},
        {"prefetch": 0},
        {"prefetch": -1},
    ],
)
def test_times_and_numbers_are_above_zero(options: dict[str, Any]):
    assert "must be above 0" in str(refused(OrderCreated, **options))


def test_a_batch_that_could_never_get_full_is_refused():
    assert "prefetch" in str(refused(OrderCreated, batch=Batch(size=100), prefetch=99))


@pytest.mark.parametrize("options", [{"size": 0}, {"size": -1}, {"within": -1}, {"within": math.nan}])
def test_a_batch_has_a_size_and_a_time(options: dict[str, Any]):
    with pytest.raises(ConfigurationError, match="size must be 1 or more, within 0 s or more"):
        Batch(**options)


@pytest.mark.parametrize("start", ["beginning", datetime(2025, 2, 15, tzinfo=UTC)])
def test_to_start_in_the_past_needs_the_inbox(start: Any):
    assert subscribe(OrderCreated, start=start)(print).start == start
    assert "start in the past" in str(refused(OrderCreated, start=start, deduplicate=False))


@pytest.mark.parametrize("start", ["yesterday", datetime(2025, 2, 15), 7])  # noqa: DTZ001  that is the point
def test_what_is_no_time_to_start_at_is_refused(start: Any):
    assert "start=" in str(refused(OrderCreated, start=start))
