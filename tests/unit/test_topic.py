from __future__ import annotations

import pytest

from eventbus.errors import ConfigurationError, InvalidEvent
from eventbus.topic import MAX_TYPE_BYTES, check_event_type, check_pattern, is_event_type


@pytest.mark.parametrize(
    "good", ["order", "order.created", "a1.b_2.c", "order_line.added", "a" * MAX_TYPE_BYTES]
)
def test_lower_case_words_joined_by_dots_are_an_event_type(good: str):
    assert check_event_type(good) == good


@pytest.mark.parametrize(
    "bad",
    [
        "",
        ".",
        "order.",
        ".created",
        "order..created",
        "Order",
        "order-created",
        "order created",
        "1order",
        "_order",
        "order.*",
        "#",
        "ordér",
        "order\n",
        "order\0",
        "\ud800",
    ],
)
def test_anything_else_is_refused_by_name_and_value(bad: str):
    assert not is_event_type(bad)
    with pytest.raises(InvalidEvent, match="lower-case words joined by dots") as caught:
        check_event_type(bad)
    assert (caught.value.field, caught.value.value) == ("event_type", bad)


@pytest.mark.parametrize(("long", "size"), [("a" * 191, 191), ("ä" * 100, 200), ("\ud800" * 64, 192)])
def test_the_limit_of_an_event_type_is_counted_in_bytes(long: str, size: int):
    with pytest.raises(InvalidEvent, match=f"has {size} bytes, 190 are allowed"):
        check_event_type(long)


@pytest.mark.parametrize(
    "good", ["order.created", "*", "#", "order.*", "order.#", "#.failed", "*.created.#", "a.*.b"]
)
def test_a_pattern_has_words_stars_and_hashes(good: str):
    assert check_pattern(good) == good


@pytest.mark.parametrize(
    "bad", ["", "order.", "order..*", "order*", "or#der", "**", "Order.*", "a b", "a" * 191, "ä.*"]
)
def test_a_pattern_that_no_event_type_could_match_is_refused(bad: str):
    with pytest.raises(ConfigurationError, match="is no binding pattern"):
        check_pattern(bad)
