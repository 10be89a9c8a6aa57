from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp import decode

from eventbus.errors import InvalidEvent
from eventbus.header_rules import HeaderLimits, checked
from eventbus.rabbitmq.fields import table

NOON = datetime(2025, 2, 15, 12, tzinfo=UTC)


def check(headers: dict[Any, Any]) -> dict[str, Any]:
    return checked(headers, HeaderLimits(), "order.created")


def refusal(headers: dict[Any, Any]) -> InvalidEvent:
    with pytest.raises(InvalidEvent) as caught:
        check(headers)
    assert caught.value.event_type == "order.created"
    return caught.value


def nested(depth: int) -> object:
    return [nested(depth - 1)] if depth else 1


@pytest.mark.parametrize(
    "value",
    [
        "text",
        "",
        "日本 🙂",
        b"\x00\xff",
        True,
        None,
        0,
        -(2**63),
        2**63 - 1,
        0.5,
        0.1,
        1e300,
        NOON,
        [],
        {},
        [1, ["a", {"b": None}]],
        {"": {"größe": 1}},
        nested(8),
    ],
)
def test_what_amqp_can_carry_may_be_sent_along(value: object):
    assert check({"tenant": value}) == {"tenant": value}


@pytest.mark.parametrize("name", ["CC", "cc", "BCC", "Bcc", "x-delay", "X-Match", "x-"])
def test_headers_of_the_broker_are_reserved(name: str):
    error = refusal({name: "a"})
    assert (error.field, error.problem) == (f"header {name}", "is reserved for the broker")


@pytest.mark.parametrize("name", ["eventbus-attempt", "Eventbus-Reason", "eventbus-anything"])
def test_headers_of_eventbus_are_reserved(name: str):
    assert refusal({name: 1}).problem == "is reserved for eventbus"


@pytest.mark.parametrize("name", ["", "a\nb", "ä", "x" * 129, "\0", 7, None, b"tenant"])
def test_a_header_has_a_name_of_visible_ascii(name: object):
    assert refusal({name: 1}).problem == "must have a name of 1 to 128 visible ASCII characters"


@pytest.mark.parametrize(
    "value",
    [
        math.nan,
        math.inf,
        2**63,
        -(2**63) - 1,
        "\ud800",
        object(),
        {1, 2},
        1j,
        datetime(2025, 2, 15),  # noqa: DTZ001 -- naive on purpose
        datetime(1969, 12, 31, 23, tzinfo=UTC),
        datetime(2106, 2, 8, tzinfo=UTC),
    ],
)
def test_what_amqp_cannot_carry_is_refused_by_name_and_value(value: object):
    for headers in ({"tenant": value}, {"tenant": [{"a": value}]}):
        error = refusal(headers)
        assert error.field == "header tenant"
        assert error.value is value


def test_a_decimal_is_refused_with_what_to_do_instead():
    assert "send text" in refusal({"price": [Decimal("0.10")]}).problem


def test_a_time_is_sent_in_utc_and_to_the_second():
    given = datetime(2025, 2, 15, 14, 0, 0, 999_999, tzinfo=timezone(timedelta(hours=2)))
    assert check({"at": given}) == {"at": NOON}
    assert check({"at": given})["at"].utcoffset() == timedelta(0)


@pytest.mark.parametrize("name", [7, None, "x" * 129, "ä" * 65, "\ud800"])
def test_a_name_within_a_header_is_text_of_128_bytes(name: object):
    assert refusal({"tenant": {"a": {name: 1}}}).field == "header tenant"


def test_headers_are_nested_8_deep_at_most():
    assert refusal({"tenant": nested(9)}).problem == "is nested over 8 deep"


def test_headers_that_hold_themselves_are_nested_too_deep():
    endless: list[object] = []
    endless.append(endless)
    assert "nested" in refusal({"tenant": endless}).problem


def test_all_headers_together_take_64_kib_at_most():
    error = refusal({f"h{n}": "x" * 1000 for n in range(70)})
    assert error.field == "headers"
    assert "65536 are allowed" in error.problem


def test_tuples_and_other_mappings_become_lists_and_dicts():
    assert check({"a": (1, (2,)), "b": MappingProxyType({"c": ()})}) == {"a": [1, [2]], "b": {"c": []}}


def test_headers_are_copied_so_that_later_changes_do_not_travel():
    mine: dict[str, Any] = {"tags": ["a"]}
    copy = check(mine)
    mine["tags"].append("b")
    assert copy == {"tags": ["a"]}


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.binary(max_size=20)
    | st.datetimes(timezones=st.timezones())
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
)


@given(st.dictionaries(st.text(max_size=9), VALUES, max_size=4))
def test_whatever_passes_comes_out_of_amqp_as_it_went_in(headers: dict[str, Any]):
    try:
        plain = check(headers)
    except InvalidEvent:
        return
    assert decode.field_table(table(plain))[1] == plain
