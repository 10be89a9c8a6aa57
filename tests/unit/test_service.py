from __future__ import annotations

import functools
import sys
from types import ModuleType
from typing import Any

import pytest

from eventbus import Event, Service, subscribe
from eventbus.errors import ConfigurationError, DuplicateEvent, InvalidSubscription
from eventbus.transport import QueueSpec


class OrderCreated(Event, type="order.created"):
    pass


class OrderPaid(Event, type="order.paid"):
    pass


class Audit:
    async def __call__(self, event: OrderCreated) -> None: ...

    async def method(self, event: OrderCreated) -> None: ...


@subscribe(OrderCreated)
async def charge(event: OrderCreated) -> None: ...


@subscribe("order.*", "payment.failed", name="audit")
async def write_down(event: Event) -> None: ...


def test_each_subscription_has_a_queue_of_its_own():
    assert Service("payment", [charge, write_down]).topology.queues == (
        QueueSpec("payment.charge", ("order.created",)),
        QueueSpec("payment.audit", ("order.*", "payment.failed")),
    )


def test_two_services_can_have_the_same_subscription():
    queues = [member.queue for name in ("payment", "email") for member in Service(name, [charge])]
    assert queues == ["payment.charge", "email.charge"]


def test_a_service_shows_its_name_and_its_subscriptions():
    assert repr(Service("payment", [charge, write_down])) == "Service('payment', [charge, audit])"


def test_a_service_may_have_no_subscription_yet():
    assert Service("payment", []).topology.queues == ()


@pytest.mark.parametrize("name", ["", "pay.ment", "pay ment", "1a", "#", "ä", "a\n"])
def test_a_name_that_cannot_be_part_of_a_queues_name_is_refused(name: str):
    with pytest.raises(ConfigurationError, match=r"use letters, digits"):
        Service(name, [charge])


def test_two_subscriptions_of_one_name_are_refused():
    with pytest.raises(InvalidSubscription, match=r"'payment.charge': two subscriptions have this name"):
        Service("payment", [charge, subscribe(OrderCreated, name="charge")(charge.function)])


def test_the_name_of_a_queue_has_190_bytes_at_most():
    long = subscribe(OrderCreated, name="x" * 182)(charge.function)
    assert len(Service("payment", [long]).members[0].queue) == 190
    with pytest.raises(InvalidSubscription, match="has 191 bytes, 190 are allowed"):
        Service("payments", [long])


@pytest.mark.parametrize("thing", [charge.function, None, "payment.charge"])
def test_what_is_no_subscription_is_refused(thing: Any):
    with pytest.raises(ConfigurationError, match=r"Decorate the function with @subscribe"):
        Service("payment", [thing])


def test_a_handler_whose_signature_cannot_work_is_refused_when_the_service_is_made():
    @subscribe(OrderCreated)
    async def handler(event: OrderCreated, gateway: object) -> None: ...

    with pytest.raises(
        InvalidSubscription, match=r"'payment.handler': nothing fills the parameter 'gateway'"
    ):
        Service("payment", [handler])


def test_a_service_knows_the_events_of_its_topics_its_annotations_and_their_modules():
    assert set(Service("payment", [charge]).events()) == {OrderCreated, OrderPaid}
    assert set(Service("payment", [write_down]).events()) == {OrderCreated, OrderPaid}


@pytest.mark.parametrize("handler", [Audit(), Audit().method, functools.partial(charge.function)])
def test_methods_partials_and_callable_objects_know_the_events_of_their_modules(handler: Any):
    assert OrderPaid in set(Service("audit", [subscribe(OrderCreated, name="audit")(handler)]).events())


def test_an_event_whose_module_is_gone_is_known_all_the_same(monkeypatch: pytest.MonkeyPatch):
    class Orphan(Event, type="orphan.found"):
        pass

    Orphan.__module__ = "a_module_that_was_never_imported"
    subscription = subscribe(Orphan, name="audit")(lambda event: None)
    assert Orphan in set(Service("audit", [subscription]).events())


def test_two_classes_for_one_event_in_a_services_modules_are_refused(monkeypatch: pytest.MonkeyPatch):
    class Other(Event, type="order.created"):
        pass

    module = ModuleType("schemas_of_this_test")
    vars(module).update(first=OrderCreated, second=Other)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    Other.__module__ = module.__name__
    with pytest.raises(DuplicateEvent):
        Service("audit", [subscribe(Other, name="audit")(lambda event: None)]).events()
