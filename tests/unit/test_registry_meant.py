"""Which version a dict is, that is published by its event type alone."""

from __future__ import annotations

from decimal import Decimal

import pytest
from pydantic import AliasChoices, AliasPath, ConfigDict, Field

from eventbus import Event
from eventbus.errors import InvalidEvent
from eventbus.registry import Registry


class Priced(Event, type="registry.priced", version="1.0"):
    amount: int


class PricedInCurrency(Event, type="registry.priced", version="2.0"):
    amount: int
    currency: str


class Paid(Event, type="registry.paid", version="1.0"):
    order_id: int
    amount: Decimal


class PaidInTotal(Event, type="registry.paid", version="2.0"):
    order_id: int
    total: Decimal = Decimal(0)


class PaidWithNote(Event, type="registry.paid", version="2.1"):
    order_id: int
    total: Decimal = Decimal(0)
    note: str = ""


class Sent(Event, type="registry.sent", version="1.0"):
    to: str = Field(alias="goesTo")
    old: str = ""


class SentByAnyName(Event, type="registry.sent", version="2.0"):
    model_config = ConfigDict(validate_by_name=True)

    to: str = Field(validation_alias=AliasChoices("goesTo", AliasPath("route", 1)), serialization_alias="aim")
    by: str = Field("", alias="sentBy")


def version_of(*events: type[Event], **data: object) -> str:
    event = Registry(events).validate(events[0].__event_type__, data)
    assert event is not None
    return event.__event_version__


@pytest.mark.parametrize(
    ("data", "version"),
    [
        ({"amount": 1, "currency": "EUR"}, "2.0"),
        ({"amount": 1}, "1.0"),
    ],
)
def test_a_dict_that_is_just_an_older_version_is_published_as_that_version(
    data: dict[str, object], version: str
):
    assert version_of(Priced, PricedInCurrency, **data) == version


@pytest.mark.parametrize(
    ("data", "version"),
    [
        ({"order_id": 1, "amount": "9.99"}, "1.0"),
        ({"order_id": 1, "total": "9.99"}, "2.1"),
        ({"order_id": 1}, "2.1"),
        ({"order_id": 1, "amount": "9.99", "total": "9.99"}, "2.1"),  # no version knows both
    ],
)
def test_a_dict_is_published_as_the_newest_version_that_knows_all_its_members(
    data: dict[str, object], version: str
):
    assert version_of(Paid, PaidInTotal, PaidWithNote, **data) == version


@pytest.mark.parametrize(
    ("data", "version"),
    [
        ({"goesTo": "home"}, "2.0"),
        ({"to": "home"}, "2.0"),
        ({"route": ["here", "home"], "sentBy": "me"}, "2.0"),
        ({"goesTo": "home", "old": "yes"}, "1.0"),
    ],
)
def test_members_are_known_by_every_name_under_which_they_may_be_given(data: dict[str, object], version: str):
    assert version_of(Sent, SentByAnyName, **data) == version


def test_a_name_under_which_a_member_may_not_be_given_is_not_known():
    class SentHere(Event, type="registry.sent", version="1.0"):
        to: str = ""
        aim: str = ""

    class SentThere(Event, type="registry.sent", version="2.0"):
        to: str = Field("nowhere", alias="destination", serialization_alias="aim")

    assert version_of(SentHere, SentThere, destination="home") == "2.0"
    assert version_of(SentHere, SentThere, to="home") == "1.0"
    assert version_of(SentHere, SentThere, aim="home") == "1.0"


def test_a_dict_that_fits_no_version_is_measured_by_the_newest():
    with pytest.raises(InvalidEvent, match=r"data\.currency"):
        Registry([Priced, PricedInCurrency]).validate("registry.priced", {"amount": 1, "colour": "red"})
