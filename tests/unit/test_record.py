from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventbus.errors import InvalidEvent
from eventbus.record import pack, unpack
from eventbus.transport import Message

_TEXT = st.text(st.characters())  # lone surrogates too
_SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | _TEXT
    | st.binary()
    | st.decimals(allow_nan=False, allow_infinity=False)
    | st.datetimes(timezones=st.just(UTC))
)
_KEYS = _TEXT | st.just("$")
_VALUES = st.recursive(_SCALARS, lambda inner: st.lists(inner) | st.dictionaries(_KEYS, inner), max_leaves=8)
_MAYBE = st.none() | _TEXT
_MESSAGES = st.builds(
    Message,
    body=st.binary(),
    routing_key=_TEXT,
    headers=st.dictionaries(_KEYS, _VALUES),
    event_id=_MAYBE,
    event_type=_MAYBE,
    content_type=_MAYBE,
    timestamp=st.none() | st.datetimes(timezones=st.just(UTC)),
    source=_MAYBE,
    correlation_id=_MAYBE,
)


@given(_MESSAGES)
def test_a_message_comes_out_of_its_row_as_it_went_in(message: Message):
    assert unpack(pack(message), message.body) == message


def test_a_time_keeps_its_microseconds_and_becomes_utc():
    there = datetime(2025, 2, 15, 10, 0, 0, 123456, tzinfo=timezone.max)

    (came_out,) = [unpack(pack(Message(b"", "a", timestamp=there)), b"").timestamp]

    assert came_out == there
    assert came_out is not None
    assert came_out.tzinfo is UTC


def test_headers_given_beside_the_message_replace_its_own():
    message = Message(b"", "a", headers={"old": 1, "kept": Decimal("1.50")})

    came_out = unpack(pack(message, {"kept": Decimal("1.50")}), b"")

    assert came_out == replace(message, headers={"kept": Decimal("1.50")})


@pytest.mark.parametrize("value", [object(), {1, 2}, [object()], {"inner": object()}])
def test_a_header_that_cannot_travel_is_named(value: object):
    with pytest.raises(InvalidEvent, match="header odd"):
        pack(Message(b"", "a", headers={"odd": value}))


def test_a_time_without_a_zone_is_refused():
    with pytest.raises(InvalidEvent, match="timestamp has no time zone"):
        pack(Message(b"", "a", timestamp=datetime(2025, 2, 15, 10)))  # noqa: DTZ001  that is the point
