"""Properties against pamqp, which writes them here and knows nothing of ours."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp.commands import Basic
from pamqp.header import ContentHeader

from eventbus.rabbitmq.arrival import BadProperties, Properties, read_properties

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
TABLE = st.dictionaries(
    st.text("abc-x", min_size=1, max_size=9),
    st.booleans() | st.integers(-(2**31), 2**31 - 1) | TEXT | st.lists(TEXT, max_size=3),
    max_size=4,
)
TIMES = st.integers(0, 2**32 - 1).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "content_type": TEXT,
            "content_encoding": TEXT,
            "headers": TABLE,
            "delivery_mode": st.integers(1, 2),
            "priority": st.integers(0, 255),
            "correlation_id": TEXT,
            "reply_to": TEXT,
            "expiration": st.integers(0, 99).map(str),
            "message_id": TEXT,
            "timestamp": TIMES,
            "message_type": TEXT,
            "user_id": TEXT,
            "app_id": TEXT,
        },
    )
)
def test_properties_are_read_as_pamqp_has_written_them(described: dict[str, Any]) -> None:
    written = ContentHeader(0, 0, Basic.Properties(**described)).marshal()[12:]
    expected = {name: value for name, value in described.items() if value != ""}

    read = read_properties(written)

    assert {name: value for name, value in read._asdict().items() if value not in (None, "")} == {
        name: value for name, value in expected.items() if value is not None
    }


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"\x80",
        b"\x80\x00\x05abc",
        b"\x20\x00\x00\x00\x00\x09",
        b"\x00\x01\x00\x00",
        b"\x00\x00more",
        b"\x00\x40\x00",
    ],
)
def test_properties_that_break_the_rules_are_told_from_those_that_do_not(header: bytes) -> None:
    with pytest.raises(BadProperties):
        read_properties(header)


def test_what_is_nested_deeper_than_can_be_read_is_told() -> None:
    nested = b""
    for _ in range(2_000):
        nested = b"A" + len(nested).to_bytes(4) + nested
    table = b"\x01a" + nested

    with pytest.raises(BadProperties):
        read_properties(b"\x20\x00" + len(table).to_bytes(4) + table)


@pytest.mark.parametrize("time", [1_739_613_600_000_000, 1_739_613_600_000_000_000, 2**64 - 1])
def test_a_time_that_cannot_be_is_none(time: int) -> None:
    """Microseconds, or nanoseconds, that somebody takes for what AMQP wants."""
    assert read_properties(b"\x00\x40" + time.to_bytes(8)) == Properties()


def test_a_text_that_is_no_utf_8_is_read_with_its_bytes_escaped() -> None:
    assert read_properties(b"\x80\x00\x02\xffa") == Properties(content_type="\\xffa")
