from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp import decode

from eventbus.errors import InvalidEvent
from eventbus.rabbitmq.fields import short, table

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
    | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text("abc", min_size=1), inner),
    max_leaves=10,
)


@given(headers=st.dictionaries(st.text("abcdé-", min_size=1, max_size=20), VALUES))
def test_what_is_written_is_what_another_reads(headers: dict[str, object]) -> None:
    written = table(headers)

    assert decode.field_table(written) == (len(written), headers)


@pytest.mark.parametrize("value", [Decimal("9.99"), Decimal(-3), Decimal("1E+3")])
def test_decimals_are_exact(value: Decimal) -> None:
    assert decode.field_table(table({"h": value}))[1] == {"h": value}


def test_times_are_whole_seconds_in_utc() -> None:
    when = datetime(2025, 2, 15, 10, 0, 0, 999_000, tzinfo=UTC)

    assert decode.field_table(table({"h": when}))[1] == {"h": datetime(2025, 2, 15, 10, tzinfo=UTC)}


@pytest.mark.parametrize(
    "value",
    [2**63, object(), {1, 2}, "\ud800", Decimal("NaN"), Decimal(10) ** 20, [object()], {"a": 2**63}],
)
def test_what_amqp_cannot_express_is_told_by_name(value: object) -> None:
    with pytest.raises(InvalidEvent, match=r"header|text"):
        table({"price": value})


def test_a_property_has_at_most_255_bytes() -> None:
    assert short("é" * 127, "event_id")
    with pytest.raises(InvalidEvent, match="256 bytes, 255 are allowed"):
        short("é" * 128, "event_id")
