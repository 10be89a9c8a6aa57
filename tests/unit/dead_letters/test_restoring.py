"""The masks that an edit keeps stand for what was there, and never for what was elsewhere."""

from __future__ import annotations

from typing import Any

import pytest

from eventbus.dead_letters.restoring import restored
from eventbus.secret import MASK

CARDS = [
    {"number": "4111", "expires": "1"},
    {"number": "4222", "expires": "2"},
    {"number": "4333", "expires": "3"},
]
ONE, TWO, THREE = [{**card, "number": MASK} for card in CARDS]
NEW = {"number": "4444", "expires": "4"}


def masked(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: MASK if name in {"number", "pin"} else masked(each) for name, each in value.items()}
    return [masked(each) for each in value] if isinstance(value, list) else value


def edit(edited: object, original: object) -> object:
    return restored(edited, masked(original), original)


def test_what_is_beside_a_mask_may_be_changed():
    original = {"user_id": 7, "pin": 1234, "cards": CARDS[:1]}
    edited = {"user_id": 8, "pin": MASK, "cards": [{"number": MASK, "expires": "9"}]}

    assert edit(edited, original) == {
        "user_id": 8,
        "pin": 1234,
        "cards": [{"number": "4111", "expires": "9"}],
    }


@pytest.mark.parametrize(
    ("cards", "restored_cards"),
    [
        ([ONE, TWO, THREE], CARDS),
        ([ONE, {**TWO, "expires": "9"}, THREE], [CARDS[0], {"number": "4222", "expires": "9"}, CARDS[2]]),
        ([ONE, {"number": MASK}, THREE], [CARDS[0], {"number": "4222"}, CARDS[2]]),
        ([ONE, NEW, THREE], [CARDS[0], NEW, CARDS[2]]),
        ([NEW, NEW, THREE], [NEW, NEW, CARDS[2]]),
        ([NEW], [NEW]),
        ([], []),
    ],
)
def test_a_list_may_be_changed_where_each_mask_is_surely_in_its_place(cards: list[Any], restored_cards: Any):
    assert edit({"cards": cards}, {"cards": CARDS}) == {"cards": restored_cards}


@pytest.mark.parametrize(
    "cards",
    [
        [TWO, ONE, THREE],
        [TWO, NEW, THREE],
        [TWO, TWO, THREE],
        [{**ONE, "expires": "8"}, {**TWO, "expires": "9"}, THREE],
        [{**ONE, "expires": "2"}, NEW, THREE],
        [ONE, TWO],
        [TWO, THREE],
        [ONE, TWO, THREE, NEW],
        [[ONE], TWO, THREE],
        [MASK, TWO, THREE],
        {"first": ONE},
    ],
)
def test_a_list_whose_masks_may_have_moved_is_refused(cards: Any):
    with pytest.raises(ValueError, match="cannot be moved"):
        edit({"cards": cards}, {"cards": CARDS})


@pytest.mark.parametrize(
    "edited",
    [
        {"mine": TWO, "yours": ONE},
        {"mine": ONE, "yours": ONE},
        {"mine": ONE, "yours": TWO, "ours": ONE},
        {"mine": ONE, "ours": TWO},
        {"mine": {**ONE, "expires": MASK}, "yours": TWO},
    ],
)
def test_what_holds_a_mask_cannot_stand_under_another_name(edited: Any):
    with pytest.raises(ValueError, match="cannot be moved"):
        edit(edited, {"mine": CARDS[0], "yours": CARDS[1]})


def test_what_has_a_name_may_be_changed_beside_others():
    edited = {"mine": {**ONE, "expires": "8"}, "yours": {**TWO, "expires": "9"}}

    assert edit(edited, {"mine": CARDS[0], "yours": CARDS[1]}) == {
        "mine": {"number": "4111", "expires": "8"},
        "yours": {"number": "4222", "expires": "9"},
    }


def test_true_is_not_one():
    original = [{"number": "4111", "active": True}, {"number": "4222", "active": 1}]

    with pytest.raises(ValueError, match="cannot be moved"):
        edit(masked(original)[::-1], original)


def test_a_value_that_is_no_secret_and_looks_like_a_mask_stays():
    assert restored({"a": MASK, "b": 2}, {"a": MASK, "b": 1}, {"a": MASK, "b": 1}) == {"a": MASK, "b": 2}
