from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from eventbus import Batch, Bus, Service, handling_time, subscribe
from eventbus.circuit import LONGEST_HOLD
from eventbus.errors import ConfigurationError
from eventbus.settings import Settings


def service(name: str = "payment", **options: Any) -> Service:
    def charge(event: dict[str, Any]) -> None:
        pass

    def charge_many(events: list[dict[str, Any]]) -> None:
        pass

    handler: Callable[..., None] = charge_many if "batch" in options else charge
    return Service(name, [subscribe("order.created", name="charge", **options)(handler)])


@pytest.mark.parametrize(
    ("options", "seconds"),
    [
        ({"timeout": 30, "concurrency": 20}, 60),  # the prefetch is twice the concurrency
        ({"timeout": 30, "concurrency": 20, "prefetch": 20}, 30),
        ({"timeout": 30, "concurrency": 20, "prefetch": 21}, 60),
        ({"timeout": 30, "concurrency": 20, "prefetch": 1}, 30),
        ({"timeout": 60, "concurrency": 1, "batch": Batch(size=100, within=5)}, 125),
        ({"timeout": 60, "concurrency": 2, "batch": Batch(size=100, within=5)}, 65),
    ],
)
def test_the_last_of_a_full_prefetch_is_held_for_all_runs_before_it(options: dict[str, Any], seconds: float):
    (member,) = service(**options)

    assert handling_time.longest_hold(member.subscription) == seconds


def test_a_timeout_that_reaches_the_limit_is_refused_with_both_numbers_and_the_fix():
    with pytest.raises(ConfigurationError) as caught:
        handling_time.check([service(timeout=1800.0), service("email")], 1800.0)

    told = str(caught.value)
    assert "payment.charge (timeout 1800 s)" in told
    assert "after 1800 s" in told
    assert "timeout=" in told
    assert "EVENTBUS_CONSUMER_TIMEOUT" in told
    assert "email.charge" not in told


@pytest.mark.parametrize(("timeout", "limit"), [(1799.9, 1800.0), (86_400.0, None)])
def test_a_timeout_below_the_limit_is_right(timeout: float, limit: float | None):
    handling_time.check([service(timeout=timeout)], limit)


def test_of_many_subscriptions_some_are_named():
    many = [service(f"service{number}", timeout=60) for number in range(8)]

    with pytest.raises(ConfigurationError, match=r"service4\.charge .* and 3 more"):
        handling_time.check(many, 60.0)


def test_the_limit_is_what_the_settings_say_of_the_broker():
    def limit(seconds: float) -> float | None:
        settings = Settings(url="amqp://localhost/", consumer_timeout=seconds)
        return Bus(source="shop", settings=settings).transport.handling_limit

    assert limit(900) == 900
    assert limit(0) is None
    assert Bus("sqlite://:memory:", source="shop", settings=Settings()).transport.handling_limit is None


@pytest.mark.parametrize(
    ("options", "limit", "seconds"),
    [
        ({}, 1800.0, LONGEST_HOLD),
        ({}, None, LONGEST_HOLD),
        ({"concurrency": 1, "prefetch": 10}, 1800.0, 120.0),  # ten turns of 180 s, less 30, 15 and 15
        ({"concurrency": 1, "prefetch": 100}, 1800.0, 0.0),
        ({"timeout": 1700}, 1800.0, 0.0),
    ],
)
def test_a_pause_leaves_time_to_settle_all_that_was_fetched(
    options: dict[str, Any], limit: float | None, seconds: float
):
    (member,) = service(**options)

    assert handling_time.longest_pause(member.subscription, limit) == seconds
