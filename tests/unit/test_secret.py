"""What is marked secret is masked wherever it lies, and whatever lies there."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from eventbus import Event, Secret
from eventbus.secret import MASK, Secrets


class Card(BaseModel):
    number: Annotated[str, Secret()]
    expires: str


@dataclass
class Owner:
    name: str
    passport: Annotated[str, Secret()]


class Address(TypedDict):
    city: str
    door_code: Annotated[int, Secret]


class CardAdded(Event, type="card.added"):
    user_id: int
    pin: Annotated[int, Secret()] = 0
    card: Card | None = None
    cards: list[Card] = Field(default_factory=list)
    by_name: dict[str, Card] = Field(default_factory=dict)
    tokens: list[Annotated[str, Secret()]] = Field(default_factory=list)
    token: Annotated[str, Secret()] = Field(default="", alias="apiToken")
    owner: Owner | None = None
    address: Address | None = None


class Plain(Event, type="plain.happened"):
    pin: int


SECRETS = Secrets([CardAdded, Plain])
CARD = {"number": "4111", "expires": "12/30"}
MASKED_CARD = {"number": MASK, "expires": "12/30"}


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        ({"user_id": 7, "pin": 1234}, {"user_id": 7, "pin": MASK}),
        ({"card": CARD}, {"card": MASKED_CARD}),
        ({"card": None}, {"card": None}),
        ({"cards": [CARD, CARD]}, {"cards": [MASKED_CARD, MASKED_CARD]}),
        ({"by_name": {"mine": CARD}}, {"by_name": {"mine": MASKED_CARD}}),
        ({"tokens": ["a", "b"]}, {"tokens": [MASK, MASK]}),
        ({"apiToken": "a"}, {"apiToken": MASK}),
        ({"token": "a"}, {"token": MASK}),
        ({"owner": {"name": "Ada", "passport": "P1"}}, {"owner": {"name": "Ada", "passport": MASK}}),
        ({"address": {"city": "Ulm", "door_code": 1}}, {"address": {"city": "Ulm", "door_code": MASK}}),
        ({"unknown": "member"}, {"unknown": "member"}),
    ],
)
def test_what_is_marked_is_masked_and_all_else_is_not(data: dict[str, Any], shown: dict[str, Any]):
    assert SECRETS.data("card.added", data) == shown


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        ({"card": "4111"}, {"card": MASK}),
        ({"cards": "4111"}, {"cards": MASK}),
        ({"cards": ["4111", CARD]}, {"cards": [MASK, MASKED_CARD]}),
        ({"pin": {"of": "1234"}}, {"pin": MASK}),
        ("4111", MASK),
    ],
)
def test_data_that_does_not_fit_its_class_shows_no_secret_either(data: object, shown: object):
    assert SECRETS.data("card.added", data) == shown


def test_every_version_of_a_type_is_masked_by_what_any_of_them_marks():
    class CardAddedV2(Event, type="card.added", version="2.0"):
        secret_code: Annotated[str, Secret()]

    both = Secrets([CardAdded, CardAddedV2])

    assert both.data("card.added", {"pin": 1, "secret_code": "x"}) == {"pin": MASK, "secret_code": MASK}


def test_of_a_type_without_a_class_nothing_is_known():
    assert SECRETS.data("other.happened", {"pin": 1}) == {"pin": 1}
    assert SECRETS.body("other.happened", b'{"data": {"pin": 1}}') == b'{"data": {"pin": 1}}'


def test_a_body_is_the_same_bytes_unless_something_in_it_is_masked():
    body = b'{ "event_type": "plain.happened",  "data": {"pin": 1} }'

    assert SECRETS.body("plain.happened", body) is body
    shown = json.loads(SECRETS.body("card.added", body))
    assert shown == {"event_type": "plain.happened", "data": {"pin": MASK}}


def test_a_body_under_a_foreign_key_is_masked_by_what_it_says_of_itself():
    body = b'{"event_type": "card.added", "data": {"pin": 1234}}'

    assert b"1234" not in SECRETS.body("other.happened", body)


@pytest.mark.parametrize("body", [b'{"data": {"pin": 1234', b"\xff1234", b'["1234"]'])
def test_a_body_that_cannot_be_read_is_masked_whole_where_its_type_has_secrets(body: bytes):
    assert SECRETS.body("card.added", body) == MASK.encode()
    assert SECRETS.body("plain.happened", body) == body


@pytest.mark.parametrize(
    "body",
    [
        b'{"event_type": "card.added", "data": {"pin": "4111"}, "data": {}}',
        b'{"event_type": "card.added", "data": {"pin": "4111", "pin": "***"}}',
        b'{"event_type": "card.added", "event_type": "plain.happened", "data": {"pin": "4111"}}',
        b'{"event_type": "card.added", "data": {"pin": "4111", "user_id": 1e999}}',
        rb'{"event_type": "card.added", "data": {"pin": "4111", "card": "\ud800"}}',
        b'{"event_type": "card.added", "data": ' + b'{"a": ' * 100 + b'{"pin": "4111"}' + b"}" * 101,
    ],
)
def test_a_body_that_no_subscriber_reads_is_masked_whole_by_its_key_and_by_what_it_says(body: bytes):
    assert SECRETS.body("card.added", body) == MASK.encode()
    assert SECRETS.body("other.happened", body) == MASK.encode()
    other = body.replace(b"card.added", b"other.happened")
    assert SECRETS.body("other.happened", other) == other


def test_a_marked_field_is_published_and_read_as_it_is():
    event = CardAdded.model_validate({"user_id": 7, "pin": 1234, "card": CARD})

    assert json.loads(event.model_dump_json())["card"] == CARD
    assert event.pin == 1234
