from __future__ import annotations

import sys
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from pydantic import model_validator

from eventbus import Envelope, Event, upcast
from eventbus.envelope import envelope_from
from eventbus.errors import DuplicateEvent, InvalidEvent, Unreadable, UnregisteredEvent
from eventbus.outcome import Reason
from eventbus.registry import Registry


class OrderV1(Event, type="order.created", version="1.0"):
    total: Decimal


class OrderV2(Event, type="order.created", version="2.0"):
    total: Decimal
    currency: str


class OrderV2Point1(Event, type="order.created", version="2.1"):
    total: Decimal
    currency: str
    note: str = ""


class OrderV3(Event, type="order.created", version="3.0"):
    cents: int
    currency: str


class OrderPaid(Event, type="order.paid"):
    prices: dict[str, Decimal]


@upcast
def orders_were_in_euro(old: OrderV1) -> OrderV2:
    return OrderV2(total=old.total, currency="EUR")


@upcast
def cents_instead_of_a_total(old: OrderV2) -> OrderV3:
    return OrderV3(cents=int(old.total * 100), currency=old.currency)


def envelope(version: str, event_type: str = "order.created", **data: Any) -> Envelope[dict[str, Any]]:
    return envelope_from(
        {
            "event_id": "evt_1",
            "event_type": event_type,
            "timestamp": datetime(2025, 2, 15, tzinfo=UTC),
            "version": version,
            "data": data,
        }
    )


def refusal(
    registry: Registry, unread: Envelope[dict[str, Any]], target: type[Event] | None = None
) -> Unreadable:
    with pytest.raises(Unreadable) as caught:
        registry.upcast(unread, target)
    return caught.value


def test_the_newest_version_of_a_type_is_found_by_number():
    class Tenth(Event, type="order.created", version="1.10"):
        pass

    class Ninth(Event, type="order.created", version="1.9"):
        pass

    assert Registry([Tenth, Ninth]).newest("order.created") is Tenth
    assert Registry().newest("order.created") is None


def test_an_added_class_brings_the_older_ones_that_its_upcasters_read():
    assert list(Registry([OrderV3])) == [OrderV1, OrderV2, OrderV3]


def test_two_classes_for_one_type_and_version_are_refused_by_name():
    class Impostor(Event, type="order.created", version="1.0"):
        pass

    with pytest.raises(DuplicateEvent, match=r"OrderV1 and .*Impostor both claim order.created version 1.0"):
        Registry([OrderV1, Impostor])


def test_the_same_class_may_be_added_twice():
    assert list(Registry([OrderV1, OrderV1])) == [OrderV1]


def test_a_module_gives_all_its_event_classes():
    registry = Registry()
    registry.collect(vars(sys.modules[__name__]))
    assert registry.types() == ["order.created", "order.paid"]


def test_a_registry_that_learns_keeps_its_own_classes():
    class Foreign(Event, type="order.created", version="1.0"):
        pass

    registry = Registry([Foreign])
    registry.learn(Registry([OrderV3]))
    assert list(registry) == [Foreign, OrderV2, OrderV3]


def test_data_is_validated_as_the_newest_version_unless_told():
    registry = Registry([OrderV1, OrderV3])
    assert registry.validate("order.created", {"cents": 300, "currency": "EUR"}) == OrderV3(
        cents=300, currency="EUR"
    )
    assert registry.validate("order.created", {"total": "3.00"}, "1.0") == OrderV1(total=Decimal("3.00"))


def test_any_mapping_can_be_validated():
    from types import MappingProxyType

    assert Registry([OrderV1]).validate("order.created", MappingProxyType({"total": "3.00"})) is not None


def test_an_unknown_type_may_be_published_while_the_registry_is_open():
    assert Registry().validate("order.created", {}) is None


def test_an_unknown_type_is_refused_by_a_closed_registry_with_the_likely_one():
    with pytest.raises(UnregisteredEvent, match=r"did you mean 'order.created'") as caught:
        Registry([OrderV1], closed=True).validate("order.craeted", {})
    assert caught.value.field == "event_type"


def test_a_closed_registry_without_a_likely_type_lists_what_it_knows():
    with pytest.raises(UnregisteredEvent, match=r"known are order.created, order.paid"):
        Registry([OrderV1, OrderPaid], closed=True).validate("zzz", {})


def test_an_unknown_version_is_refused_with_those_that_are_known():
    with pytest.raises(
        UnregisteredEvent, match=r"version of order.created has no class; known are 1.0, 2.0, 3.0"
    ):
        Registry([OrderV3]).validate("order.created", {}, "4.0")


def test_data_that_does_not_fit_is_refused_by_field_rule_and_value():
    with pytest.raises(InvalidEvent) as caught:
        Registry([OrderV1]).validate("order.created", {"total": "much"})
    error = caught.value
    assert (error.field, error.value, error.event_type) == ("data.total", "much", "order.created")
    assert "decimal" in error.problem


def test_a_field_named_by_the_data_itself_is_shown_without_control_characters():
    with pytest.raises(InvalidEvent) as caught:
        Registry([OrderPaid]).validate("order.paid", {"prices": {"\x1b[31m\n": "much"}})
    assert str(caught.value).isprintable()


def test_an_older_major_version_is_read_through_every_step():
    read = Registry([OrderV3]).upcast(envelope("1.0", total="3.50"))
    assert read.data == OrderV3(cents=350, currency="EUR")


def test_a_version_between_begins_in_the_middle_of_the_chain():
    read = Registry([OrderV3]).upcast(envelope("2.0", total="3.50", currency="USD"))
    assert read.data == OrderV3(cents=350, currency="USD")


def test_a_newer_minor_version_is_read_tolerantly():
    read = Registry([OrderV2]).upcast(envelope("2.7", total="3.50", currency="USD", note="n", more=1))
    assert read.data == OrderV2(total=Decimal("3.50"), currency="USD")


def test_an_older_minor_version_is_read_by_the_newer_class():
    read = Registry([OrderV2Point1]).upcast(envelope("2.0", total="3.50", currency="USD"))
    assert read.data == OrderV2Point1(total=Decimal("3.50"), currency="USD")


def test_the_envelope_stays_as_it_came_beside_its_data():
    unread = envelope("1.0", total="3.50")
    read = Registry([OrderV3]).upcast(unread)
    assert read.with_(data=unread.data) == unread


def test_a_reader_may_ask_for_an_older_class():
    assert Registry([OrderV3]).upcast(envelope("1.0", total="1"), OrderV1).data == OrderV1(total=Decimal(1))


def test_a_newer_major_version_is_not_read():
    error = refusal(Registry([OrderV3]), envelope("4.0", cents=1, currency="EUR"))
    assert error.reason == Reason.UNSUPPORTED_VERSION
    assert "the newest class here is 3.0" in error.problem


def test_a_version_that_no_step_leads_from_is_not_read():
    error = refusal(Registry([OrderV3]), envelope("0.9", total="1"))
    assert error.reason == Reason.UNSUPPORTED_VERSION
    assert "no @upcast leads there" in error.problem


def test_a_type_without_a_class_is_not_read():
    assert refusal(Registry([OrderV3]), envelope("1.0", "order.paid")).reason == Reason.UNKNOWN_TYPE


def test_data_that_does_not_fit_its_model_is_not_read():
    error = refusal(Registry([OrderV1]), envelope("1.0", total="much"))
    assert error.reason == Reason.INVALID_DATA
    assert "data.total of order.created 1.0" in error.problem
    assert "much" not in error.problem


def test_old_data_that_does_not_fit_the_old_model_is_not_read():
    assert refusal(Registry([OrderV3]), envelope("1.0", total=None)).reason == Reason.INVALID_DATA


def test_an_upcaster_that_fails_makes_the_data_unreadable():
    class Before(Event, type="room.booked", version="1.0"):
        pass

    class After(Event, type="room.booked", version="2.0"):
        pass

    def fails(old: Before) -> After:
        raise KeyError("guest")

    After.__upcaster__ = (Before, fails)
    error = refusal(Registry([After]), envelope("1.0", "room.booked"))
    assert error.reason == Reason.INVALID_DATA
    assert "the upcaster to 2.0 failed: KeyError('guest')" in error.problem


def test_a_validator_that_fails_in_its_own_way_makes_the_data_unreadable():
    class Booked(Event, type="room.booked"):
        @model_validator(mode="before")
        @classmethod
        def look_up(cls, data: dict[str, Any]) -> dict[str, Any]:
            return {"room": data["rooms"][0]}

    error = refusal(Registry([Booked]), envelope("1.0", "room.booked"))
    assert error.reason == Reason.INVALID_DATA
    assert "KeyError: 'rooms'" in error.problem


def test_an_upcaster_that_gives_something_else_makes_the_data_unreadable():
    class Before(Event, type="room.booked", version="1.0"):
        pass

    class After(Event, type="room.booked", version="2.0"):
        pass

    After.__upcaster__ = (Before, lambda old: None)
    error = refusal(Registry([After]), envelope("1.0", "room.booked"))
    assert error.reason == Reason.INVALID_DATA
    assert "gave NoneType" in error.problem
