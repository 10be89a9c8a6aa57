"""What is shown of an error that tells a secret, or a part of one."""

from __future__ import annotations

import json
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, ValidationError

from eventbus import Event, Secret
from eventbus.dead_letters import masked
from eventbus.errors import describe
from eventbus.headers import ERROR
from eventbus.secret import Secrets
from eventbus.transport import DeadLetterEntry, Message

NUMBER = "4111111111111111"


class CardAdded(Event, type="card.added"):
    user: str = "ann"
    secret: Annotated[Any, Secret()] = None


def shown(error: str, secret: object) -> str:
    """The error of a dead letter whose event has this secret."""
    body = json.dumps({"event_type": "card.added", "data": {"user": "ann", "secret": secret}}).encode()
    entry = masked(
        DeadLetterEntry.of(Message(body, "card.added", headers={ERROR: error})), Secrets([CardAdded])
    )
    assert entry.message.headers[ERROR] == entry.error
    return entry.error


@pytest.mark.parametrize(
    ("error", "told"),
    [
        ("declined cvv 737", "declined cvv ***"),
        ("{'cvv': '737', 'at': 1}", "{'cvv': '***', 'at': 1}"),
        ("cvv=737, pin.", "cvv=***, pin."),
        ("cvv 737.", "cvv ***."),
    ],
)
def test_a_short_value_is_masked_where_it_is_a_whole_word(error: str, told: str):
    assert shown(error, "737") == shown(error, 737) == told


@pytest.mark.parametrize("error", ["order 17371", "flight LH737", "took 0.737 s", "737.5 EUR", "cvv_737"])
def test_a_short_value_is_nothing_within_another_word_or_number(error: str):
    assert shown(error, "737") == error


def test_a_longer_value_is_masked_wherever_it_is():
    assert shown(f"card4{NUMBER[1:]}x, pin:8642", [NUMBER, "8642"]) == "card***x, pin:***"


@pytest.mark.parametrize("part", [NUMBER[:5], NUMBER[-5:], NUMBER[2:9]])
def test_so_is_every_stretch_of_five_characters_of_it(part: str):
    assert shown(f"no {part} here", NUMBER) == "no *** here"


@pytest.mark.parametrize("left", range(1, len(NUMBER) + 1))
def test_nothing_is_left_of_a_value_that_the_end_of_an_error_has_cut(left: int):
    error = describe(ValueError("x" * (486 - left) + f" {NUMBER} is declined"))
    assert error.endswith(f"x {NUMBER[:left]}…")
    assert shown(error, NUMBER).endswith("x ***…")


@pytest.mark.parametrize(
    "user", ["", "ann", "berta", "a" * 9, "a" * 14, "a" * 16, "a" * 18, "a" * 20, "a" * 30]
)
def test_nothing_is_left_of_a_value_that_pydantic_has_cut(user: str):
    class Api(BaseModel):
        missing: str

    with pytest.raises(ValidationError) as raised:
        Api.model_validate({"user": user, "number": 9876543210123456, "cvv": 737})
    told = shown(describe(raised.value), [9876543210123456, 737])
    assert f"[type=missing, input_value={{'user': '{user[:10]}" in told
    assert not any(part in told for part in ("987", "6, ", "737"))


@pytest.mark.parametrize("error", ["no such card: ann", "ordered 41 times", "waits for 1111 s…", "4.1…", ""])
def test_an_error_without_a_secret_stays_as_it_is(error: str):
    assert shown(error, ["4111-22", "none", "", "'", " ", "…", None]) == error


@pytest.mark.parametrize("secret", ["pa ss\nwo rd", "a'b\"c\\d", "tab\tbed"])
@pytest.mark.parametrize("quote", [str, repr])
def test_a_value_is_known_as_errors_quote_it(secret: str, quote: Any):
    assert shown(describe(ValueError(f"bad {quote(secret)}")), secret).strip("'\"") in (
        "ValueError: bad ***",
        "ValueError: bad '***",
        'ValueError: bad "***',
    )


@pytest.mark.parametrize(
    "secret",
    ["a" * 250_000, "ab" * 125_000, [f"{each:05}" for each in range(30_000)], list(range(40_000))],
    ids=["one letter", "two letters", "many", "many short"],
)
@pytest.mark.parametrize(
    "error", ["a" * 4_000, "b..." * 1_000, "12345 " * 700], ids=["same", "cuts", "words"]
)
def test_the_largest_values_are_looked_for_to_the_end(error: str, secret: object):
    """In time that grows with both, and not with their product: that would take longer than a test may."""
    assert set(shown(error, secret)) <= {*error, "*"}
