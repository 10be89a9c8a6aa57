"""Ids are told apart by series and number, in whatever order they come."""

from __future__ import annotations

import pytest

from tests.support.numbered import NumberedIds, numbered_id


def test_ids_are_in_it_in_whatever_order_they_were_added() -> None:
    ids = NumberedIds()
    for number in (3, 1, 2, 5):
        ids.add(numbered_id("p", number))

    assert [number for number in range(7) if numbered_id("p", number) in ids] == [1, 2, 3, 5]
    assert len(ids) == 4


def test_an_id_that_is_added_again_counts_once() -> None:
    ids = NumberedIds()
    for _ in range(2):
        ids.add(numbered_id("p", 1))
        ids.add(numbered_id("p", 9))

    assert len(ids) == 2


def test_the_same_number_of_another_series_is_another_id() -> None:
    ids = NumberedIds()
    ids.add(numbered_id("evt_0.a", 1))

    assert numbered_id("evt_0.b", 1) not in ids
    assert numbered_id("evt_0.a", 1) in ids


def test_ids_without_a_number_are_never_in_it() -> None:
    ids = NumberedIds()
    ids.add(numbered_id("p", 1))

    assert "p" not in ids
    assert "p.x" not in ids
    with pytest.raises(ValueError, match="invalid literal"):
        ids.add("p.x")
