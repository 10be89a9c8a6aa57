from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field, SecretStr, ValidationError

from eventbus import Event, upcast
from eventbus.errors import ConfigurationError, InvalidEvent
from eventbus.event import parse_version


class OrderPlacedV1(Event, type="order.placed", version="1.0"):
    total: Decimal


class OrderPlaced(Event, type="order.placed", version="2.0"):
    total: Decimal
    currency: str


def test_the_class_arguments_say_type_and_version():
    class OrderCreated(Event, type="order.created", version="2.3"):
        pass

    assert (OrderCreated.__event_type__, OrderCreated.__event_version__) == ("order.created", "2.3")


def test_the_version_is_1_0_unless_said_otherwise():
    class OrderCreated(Event, type="order.created"):
        pass

    assert OrderCreated.__event_version__ == "1.0"


def test_a_class_without_a_type_is_a_part_to_build_events_from():
    class HasTotal(Event):
        total: Decimal

    class OrderCreated(HasTotal, type="order.created", version="1.1"):
        pass

    assert HasTotal.__event_type__ == ""
    assert OrderCreated(total=Decimal("1.10")).total == Decimal("1.10")


def test_a_subclass_does_not_inherit_type_and_version():
    class OrderCreated(Event, type="order.created", version="1.1"):
        pass

    class BigOrder(OrderCreated):
        pass

    assert (BigOrder.__event_type__, BigOrder.__event_version__) == ("", "")


@pytest.mark.parametrize(
    "bad", ["Order.Created", "order..created", ".order", "order-created", "a" * 191, "order.*", " "]
)
def test_a_class_with_a_bad_event_type_is_refused_by_name(bad: str):
    with pytest.raises(ConfigurationError, match=r"OrderCreated.*event_type"):

        class OrderCreated(Event, type=bad):
            pass


@pytest.mark.parametrize("bad", ["1", "1.0.0", "v1.0", "01.0", "1.x", "", "1.0\n", "-1.0", "1000000000.0"])
def test_a_class_with_a_bad_version_is_refused_by_name(bad: str):
    with pytest.raises(ConfigurationError, match=r"OrderCreated.*version"):

        class OrderCreated(Event, type="order.created", version=bad):
            pass


def test_an_event_does_not_change():
    event = OrderPlacedV1(total=Decimal(1))
    with pytest.raises(ValidationError, match="frozen"):
        event.total = Decimal(2)  # type: ignore[misc]


def test_members_that_a_reader_does_not_know_are_ignored():
    assert OrderPlacedV1.model_validate({"total": "1", "added_later": True}) == OrderPlacedV1(
        total=Decimal(1)
    )


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_numbers_that_json_has_not_are_refused(number: str):
    class Measured(Event, type="room.measured"):
        celsius: float

    with pytest.raises(ValidationError, match="finite"):
        Measured(celsius=float(number))
    with pytest.raises(ValidationError, match="finite"):
        OrderPlacedV1(total=Decimal(number))


class Node(BaseModel):
    tags: list[Annotated[str, Field(max_length=9)]] = []
    children: list[Node] = []
    password: SecretStr | None = None


def test_a_field_that_holds_a_secret_anywhere_is_known():
    class Grown(Event, type="tree.grown"):
        height: int
        root: Node

    class Pruned(Event, type="tree.pruned"):
        tags: list[Annotated[str, Field(max_length=9)]]

    assert (Grown.__event_secret__, Pruned.__event_secret__) == ("root", "")


def test_versions_compare_as_numbers():
    assert parse_version("1.10") > parse_version("1.9")


@pytest.mark.parametrize("bad", ["", "1", "one.two", "1.0 ", "٣.0", 1.0, None])
def test_what_is_no_version_is_an_invalid_event(bad: Any):
    with pytest.raises(InvalidEvent, match=r"MAJOR.MINOR"):
        parse_version(bad)


def test_an_upcaster_stays_callable():
    class Opened(Event, type="account.opened", version="2.0"):
        owner: str

    class OpenedV1(Event, type="account.opened", version="1.0"):
        pass

    def step(old: OpenedV1) -> Opened:
        return Opened(owner="unknown")

    step.__annotations__ = {"old": OpenedV1, "return": Opened}
    assert upcast(step)(OpenedV1()) == Opened(owner="unknown")
    assert Opened.__upcaster__ == (OpenedV1, step)


def test_an_upcaster_leads_to_the_next_major_version():
    class OrderPlacedV3(Event, type="order.placed", version="3.0"):
        pass

    def skips(old: OrderPlacedV1) -> OrderPlacedV3:
        return OrderPlacedV3()

    skips.__annotations__["return"] = OrderPlacedV3
    with pytest.raises(ConfigurationError, match=r"leads from version 1.0 to 3.0"):
        upcast(skips)


def test_an_upcaster_stays_within_one_event_type():
    class OrderPaid(Event, type="order.paid", version="2.0"):
        pass

    def strays(old: OrderPlacedV1) -> OrderPaid:
        return OrderPaid()

    strays.__annotations__["return"] = OrderPaid
    with pytest.raises(ConfigurationError, match="two event types"):
        upcast(strays)


def test_a_version_has_one_upcaster():
    class ShippedV1(Event, type="order.shipped", version="1.0"):
        pass

    class Shipped(Event, type="order.shipped", version="2.0"):
        pass

    def step(old: ShippedV1) -> Shipped:
        return Shipped()

    step.__annotations__ = {"old": ShippedV1, "return": Shipped}
    upcast(step)
    with pytest.raises(ConfigurationError, match=r"has a step from 1.0 already"):
        upcast(step)


def test_an_upcaster_says_by_its_annotations_what_it_does():
    def unannotated(old):
        return old

    def not_events(old: dict[str, Any]) -> OrderPlaced:
        return OrderPlaced(**old)

    for step in (unannotated, not_events):
        with pytest.raises(ConfigurationError, match="annotate it as"):
            upcast(step)


def test_an_upcaster_whose_annotations_cannot_be_read_says_so():
    def step(old: DefinedNowhere) -> OrderPlaced:  # type: ignore[name-defined]  # noqa: F821
        return old

    with pytest.raises(ConfigurationError, match=r"DefinedNowhere.*module level"):
        upcast(step)
